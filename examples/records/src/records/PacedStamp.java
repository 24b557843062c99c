package records;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.locks.LockSupport;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.java.tuple.Tuple2;

/**
 * Adds to each number the time at which it passed, in milliseconds: a gap in these times is when the job stood still.
 * Lets them through at a fixed total rate, each parallel instance at its share, until a file is there on its host: then
 * as fast as it can. So a job outlives whatever happens to it, and ends soon after. It holds back one number at a time,
 * in the source's chain, so checkpoints are late by one number's wait at most; it has no state.
 */
final class PacedStamp extends RichMapFunction<Long, Tuple2<Long, Long>> {
    private static final long serialVersionUID = 1L;
    private static final long SECOND = 1_000_000_000L;

    private final double numbersPerSecond;
    private final String hurryFile;
    private transient long nanosPerNumber;
    private transient long due;
    private transient long looked;
    private transient boolean hurry;

    PacedStamp(double numbersPerSecond, String hurryFile) {
        this.numbersPerSecond = numbersPerSecond;
        this.hurryFile = hurryFile;
    }

    @Override
    public void open(OpenContext context) {
        int instances = getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks();
        nanosPerNumber = Math.round(instances * 1e9 / numbersPerSecond);
        due = System.nanoTime();
        looked = due - SECOND;
    }

    @Override
    public Tuple2<Long, Long> map(Long number) throws InterruptedException {
        if (!hurry) {
            hold();
        }
        return Tuple2.of(number, System.currentTimeMillis());
    }

    private void hold() throws InterruptedException {
        long now = System.nanoTime();
        if (now - looked >= SECOND) {
            hurry = Files.exists(Path.of(hurryFile));
            looked = now;
        }
        while (now - due < 0) {
            if (Thread.interrupted()) {
                throw new InterruptedException("cancelled while holding a number back");
            }
            LockSupport.parkNanos(due - now);
            now = System.nanoTime();
        }
        // A late number may be made up for, but not more than a second of them: no burst after a pause of the machine
        due = Math.max(due + nanosPerNumber, now - SECOND);
    }
}
