package departures;

import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.java.tuple.Tuple2;

/** Number and sum of delays, so that a window keeps two numbers instead of all departures. */
final class Delays implements AggregateFunction<Departure, Tuple2<Long, Long>, Tuple2<Long, Long>> {
    private static final long serialVersionUID = 1;

    @Override
    public Tuple2<Long, Long> createAccumulator() {
        return Tuple2.of(0L, 0L);
    }

    @Override
    public Tuple2<Long, Long> add(Departure departure, Tuple2<Long, Long> sum) {
        return Tuple2.of(sum.f0 + 1, sum.f1 + departure.delayMinutes);
    }

    @Override
    public Tuple2<Long, Long> merge(Tuple2<Long, Long> one, Tuple2<Long, Long> other) {
        return Tuple2.of(one.f0 + other.f0, one.f1 + other.f1);
    }

    @Override
    public Tuple2<Long, Long> getResult(Tuple2<Long, Long> sum) {
        return sum;
    }
}
