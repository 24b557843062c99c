package records;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Numbers the records of each key 1, 2, 3 … by state: a count that is there twice, or is not there, is state that was
 * lost or counted twice, even if every record is there once. Emits {@code number,count,milliseconds}.
 */
final class CountByKey extends KeyedProcessFunction<Long, Tuple2<Long, Long>, String> {
    private static final long serialVersionUID = 1L;

    private transient ValueState<Long> seen;

    @Override
    public void open(OpenContext context) {
        seen = getRuntimeContext().getState(new ValueStateDescriptor<>("seen", Types.LONG));
    }

    @Override
    public void processElement(Tuple2<Long, Long> record, Context context, Collector<String> out) throws Exception {
        Long before = seen.value();
        long count = before == null ? 1 : before + 1;
        seen.update(count);
        out.collect(record.f0 + "," + count + "," + record.f1);
    }
}
