package trouble;

import java.lang.management.ManagementFactory;
import java.lang.management.MemoryUsage;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/** A job with the trouble that it is told to have, for alerts (tests/hosts/test_monitored.py). */
public final class Trouble {
    private static final long HOUR = 3_600_000;

    public static void main(String[] args) throws Exception {
        String trouble = args[0];
        Map<String, String> options =
                trouble.equals("idle")
                        ? Map.of()
                        : Map.of(
                                "restart-strategy.type", "fixed-delay",
                                "restart-strategy.fixed-delay.attempts", "1000000",
                                "restart-strategy.fixed-delay.delay", "1 s",
                                "execution.checkpointing.tolerable-failed-checkpoints", "1000000",
                                "execution.checkpointing.timeout", trouble.equals("unsaved") ? "2 s" : "10 min");
        StreamExecutionEnvironment env =
                StreamExecutionEnvironment.getExecutionEnvironment(Configuration.fromMap(options));
        long then = System.currentTimeMillis() - HOUR;
        WatermarkStrategy<Long> watermarks =
                trouble.equals("late")
                        ? WatermarkStrategy.<Long>forMonotonousTimestamps()
                                .withTimestampAssigner((number, before) -> then)
                        : WatermarkStrategy.noWatermarks();
        var numbers =
                env.fromSource(new NumberSequenceSource(0, Long.MAX_VALUE - 1), watermarks, "numbers");
        // Only between two tasks is there backpressure
        (trouble.equals("late") ? numbers.rebalance() : numbers)
                .map(new Troubled(trouble))
                .sinkTo(new DiscardingSink<>());
        env.execute(trouble);
    }

    private static final class Troubled extends RichMapFunction<Long, Long> implements CheckpointedFunction {
        private static final long serialVersionUID = 1;
        private static final double FULL = 0.93;
        private static final int PIECE = 128 * 1024;

        private final String trouble;
        private transient List<byte[]> kept;
        private transient byte[] garbage;

        Troubled(String trouble) {
            this.trouble = trouble;
        }

        @Override
        public void open(OpenContext context) {
            kept = new ArrayList<>();
            while (trouble.equals("fills") && used() < FULL) {
                kept.add(new byte[PIECE]);
            }
        }

        /** How much of the heap is used, and stays so after a collection. */
        private static double used() {
            double before = ratio();
            if (before < FULL) {
                return before;
            }
            System.gc();
            return ratio();
        }

        private static double ratio() {
            MemoryUsage heap = ManagementFactory.getMemoryMXBean().getHeapMemoryUsage();
            return (double) heap.getUsed() / heap.getMax();
        }

        @Override
        public Long map(Long number) throws InterruptedException {
            switch (trouble) {
                case "late":
                    // Slower than the source, and fast enough for a checkpoint to pass
                    if (number % 10 == 0) {
                        Thread.sleep(1);
                    }
                    break;
                case "fails":
                    Thread.sleep(500);
                    throw new IllegalStateException("this job fails again and again");
                case "fills":
                    garbage = new byte[PIECE];
                    Thread.sleep(1);
                    break;
                default:
                    Thread.sleep(10); // it only has to run, without using much CPU
            }
            return number;
        }

        @Override
        public void snapshotState(FunctionSnapshotContext context) throws Exception {
            if (trouble.equals("unsaved")) {
                Thread.sleep(3_000); // longer than a checkpoint may take; an exception would fail the job
            }
            if (trouble.equals("late")) {
                Thread.sleep(7_000); // longer than the interval
            }
        }

        @Override
        public void initializeState(FunctionInitializationContext context) {}

        @Override
        public void close() {
            kept = null;
            garbage = null;
        }
    }
}
