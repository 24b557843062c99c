package aligned;

import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/** A job whose source aligns watermarks: Flink's classes for that changed between 2.2 and 2.3. */
public final class AlignedJob {
    public static void main(String[] args) throws Exception {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        WatermarkStrategy<Long> aligned =
                WatermarkStrategy.<Long>forMonotonousTimestamps()
                        .withTimestampAssigner((number, before) -> number)
                        .withWatermarkAlignment("group", Duration.ofSeconds(1));
        env.fromSource(new NumberSequenceSource(0, Long.MAX_VALUE - 1), aligned, "numbers")
                .map(AlignedJob::wait)
                .returns(Long.class)
                .sinkTo(new DiscardingSink<>());
        env.execute("aligned");
    }

    /** It only has to run, without using much CPU. */
    private static Long wait(Long number) throws InterruptedException {
        Thread.sleep(10);
        return number;
    }
}
