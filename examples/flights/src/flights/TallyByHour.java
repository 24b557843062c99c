package flights;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Keeps a {@link Tally} per airport and hour in keyed state and emits its line at the end of the input.
 *
 * <p>The end is known from the last watermark, which a bounded source emits as {@code Long.MAX_VALUE}: a timer for that
 * instant is part of the checkpointed state. Not a window with an end-of-stream trigger: Flink may run the stages
 * before such a window without checkpoints, and then a failure would start all over.
 */
final class TallyByHour extends KeyedProcessFunction<Tuple2<String, Integer>, Flight, String> {
    private static final long serialVersionUID = 1L;
    private static final long END_OF_INPUT = Long.MAX_VALUE;

    private transient ValueState<Tally> state;

    @Override
    public void open(OpenContext context) {
        state = getRuntimeContext()
                .getState(new ValueStateDescriptor<>("tally", TypeInformation.of(Tally.class)));
    }

    @Override
    public void processElement(Flight flight, Context context, Collector<String> out) throws Exception {
        Tally tally = state.value();
        if (tally == null) {
            tally = Tally.NONE;
            context.timerService().registerEventTimeTimer(END_OF_INPUT);
        }
        state.update(tally.plus(flight));
    }

    @Override
    public void onTimer(long timestamp, OnTimerContext context, Collector<String> out) throws Exception {
        Tuple2<String, Integer> key = context.getCurrentKey();
        out.collect(state.value().toLine(key.f0, key.f1));
        state.clear();
    }
}
