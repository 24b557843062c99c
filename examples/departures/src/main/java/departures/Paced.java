package departures;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;

/** Makes departures of numbers, at a fixed rate over all of its instances. */
final class Paced extends RichMapFunction<Long, Departure> {
    private static final long serialVersionUID = 1;

    private final double perSecond;
    private transient double nanosEach;
    private transient long next;

    Paced(double perSecond) {
        this.perSecond = perSecond;
    }

    @Override
    public void open(OpenContext context) {
        nanosEach = 1e9 / perSecond * getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks();
        next = System.nanoTime();
    }

    @Override
    public Departure map(Long number) throws InterruptedException {
        long wait = next - System.nanoTime();
        if (wait > 0) {
            Thread.sleep(wait / 1_000_000, (int) (wait % 1_000_000));
        }
        next += (long) nanosEach;
        return Departure.numbered(number, System.currentTimeMillis());
    }
}
