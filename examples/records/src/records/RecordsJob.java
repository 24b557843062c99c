package records;

import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.DefaultRollingPolicy;
import org.apache.flink.util.ParameterTool;

/** Writes the numbers from 0 to N-1, each exactly once, so that a drill can count them. Options: see README.md. */
public final class RecordsJob {
    /** How many keys there are, each with state of its own. */
    private static final long KEYS = 1000;

    /** Files stay open over some checkpoints: a recovery then has parts of files to go on with, not whole ones only. */
    private static final Duration ROLLOVER = Duration.ofSeconds(3);

    private RecordsJob() {}

    public static void main(String[] args) throws Exception {
        ParameterTool options = ParameterTool.fromArgs(args);
        Path output = new Path(options.getRequired("output"));
        String name = options.get("name", "records");
        long records = options.getLong("records");
        double recordsPerSecond = options.getDouble("records-per-second");
        String hurryFile = options.getRequired("hurry-file");
        String sink = options.get("sink-uid", "write");
        double checkpointSeconds = options.getDouble("checkpoint-seconds", 1);
        boolean atLeastOnce = options.getBoolean("at-least-once", false);
        if (!options.getUnrequestedParameters().isEmpty()) {
            throw new IllegalArgumentException("unknown options " + options.getUnrequestedParameters());
        }
        if (records <= 0 || recordsPerSecond <= 0 || checkpointSeconds <= 0) {
            throw new IllegalArgumentException("--records, --records-per-second, --checkpoint-seconds: more than 0");
        }

        Configuration strict = new Configuration();
        strict.set(PipelineOptions.AUTO_GENERATE_UIDS, false); // each operator's state has a name of ours
        strict.set(PipelineOptions.GENERIC_TYPES, false); // no state of a form that only Kryo knows
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(strict);
        env.enableCheckpointing(Math.round(checkpointSeconds * 1000), CheckpointingMode.EXACTLY_ONCE);

        NumberSequenceSource numbers = new NumberSequenceSource(0, records - 1);
        env.fromSource(numbers, WatermarkStrategy.noWatermarks(), "number")
                .uid("number")
                .map(new PacedStamp(recordsPerSecond, hurryFile))
                .returns(Types.TUPLE(Types.LONG, Types.LONG))
                .name("stamp")
                .uid("stamp")
                .keyBy(record -> record.f0 % KEYS, Types.LONG)
                .process(new CountByKey())
                .name("count")
                .uid("count")
                .sinkTo(atLeastOnce ? new WholeFiles(output) : exactlyOnce(output))
                .name("write")
                .uid(sink);
        env.execute(name);
    }

    private static Sink<String> exactlyOnce(Path output) {
        return FileSink.forRowFormat(output, new SimpleStringEncoder<String>())
                .withBucketAssigner(new BasePathBucketAssigner<>())
                .withRollingPolicy(DefaultRollingPolicy.builder()
                        .withRolloverInterval(ROLLOVER)
                        .build())
                .withBucketCheckInterval(1000)
                .build();
    }
}
