package departures;

import java.time.Instant;
import java.util.Locale;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/** A line of the result for each airport and window, with all departures since the job's first start. */
final class Row extends ProcessWindowFunction<Tuple2<Long, Long>, String, String, TimeWindow> {
    private static final long serialVersionUID = 1;

    private static final ValueStateDescriptor<Long> TOTAL = new ValueStateDescriptor<>("total", Types.LONG);

    @Override
    public void process(String origin, Context context, Iterable<Tuple2<Long, Long>> sums, Collector<String> out)
            throws Exception {
        Tuple2<Long, Long> sum = sums.iterator().next();
        ValueState<Long> total = context.globalState().getState(TOTAL);
        Long before = total.value();
        long now = (before == null ? 0 : before) + sum.f0;
        total.update(now);
        Instant end = Instant.ofEpochMilli(context.window().getEnd());
        out.collect(String.format(Locale.ROOT, "%s,%s,%d,%.2f,%d", end, origin, sum.f0, (double) sum.f1 / sum.f0, now));
    }
}
