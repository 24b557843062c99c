package flights;

import java.util.concurrent.locks.LockSupport;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;

/**
 * Lets lines through at a fixed total rate, each parallel instance at its share, so that a fault test can make the job
 * last. It sits in the source's chain and holds back one line at a time: checkpoints run between two lines, so they are
 * never late by more than one line's wait. It has no state: after a recovery it goes on at the same rate.
 */
final class Throttle extends RichMapFunction<String, String> {
    private static final long serialVersionUID = 1L;

    private final double linesPerSecond;
    private transient long nanosPerLine;
    private transient long due;

    Throttle(double linesPerSecond) {
        this.linesPerSecond = linesPerSecond;
    }

    @Override
    public void open(OpenContext context) {
        int instances = getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks();
        nanosPerLine = Math.round(instances * 1e9 / linesPerSecond);
        due = System.nanoTime();
    }

    @Override
    public String map(String line) throws InterruptedException {
        long now = System.nanoTime();
        while (now - due < 0) {
            if (Thread.interrupted()) {
                throw new InterruptedException("cancelled while holding a line back");
            }
            LockSupport.parkNanos(due - now);
            now = System.nanoTime();
        }
        // A late line may be made up for, but not more than a second of them: no burst after a pause of the machine.
        due = Math.max(due + nanosPerLine, now - 1_000_000_000L);
        return line;
    }
}
