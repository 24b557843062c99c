package flights;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.connector.file.src.FileSource;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.core.fs.Path;
import org.apache.flink.runtime.execution.SuppressRestartsException;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.util.ParameterTool;

/** Departures, mean delay and cancellations of New York's airports by scheduled hour. Options: see README.md. */
public final class FlightsJob {
    /** Small enough that a file of some 30 MB feeds every reader of a small cluster to the end. */
    private static final long SPLIT_BYTES = 1 << 20;

    private FlightsJob() {}

    public static void main(String[] args) throws Exception {
        ParameterTool options = ParameterTool.fromArgs(args);
        Path input = new Path(options.getRequired("input"));
        Path output = new Path(options.getRequired("output"));
        String name = options.get("name", "flights");
        double linesPerSecond = options.getDouble("records-per-second", 0);
        double checkpointSeconds = options.getDouble("checkpoint-seconds", 2);
        if (!options.getUnrequestedParameters().isEmpty()) {
            throw new IllegalArgumentException("unknown options " + options.getUnrequestedParameters());
        }
        if (linesPerSecond < 0 || checkpointSeconds <= 0) {
            throw new IllegalArgumentException(
                    "--records-per-second must be 0 (no limit) or more, --checkpoint-seconds more than 0");
        }

        Configuration strict = new Configuration();
        strict.set(PipelineOptions.AUTO_GENERATE_UIDS, false); // each operator's state has a name of ours
        strict.set(PipelineOptions.GENERIC_TYPES, false); // no state of a form that only Kryo knows
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(strict);
        env.enableCheckpointing(Math.round(checkpointSeconds * 1000), CheckpointingMode.EXACTLY_ONCE);

        FileSource<String> file = FileSource.forRecordStreamFormat(new LineFormat(Flight.HEADER), input)
                .setFileEnumerator(() -> new ByteRanges(SPLIT_BYTES))
                .build();
        DataStream<String> lines = env.fromSource(file, WatermarkStrategy.noWatermarks(), "read").uid("read");
        if (linesPerSecond > 0) {
            lines = lines.map(new Throttle(linesPerSecond)).name("throttle").uid("throttle");
        }
        lines.map(FlightsJob::parse)
                .name("parse")
                .uid("parse")
                .keyBy(flight -> Tuple2.of(flight.origin(), flight.hour()), Types.TUPLE(Types.STRING, Types.INT))
                .process(new TallyByHour())
                .name("tally")
                .uid("tally")
                .sinkTo(FileSink.forRowFormat(output, new SimpleStringEncoder<String>())
                        .withBucketAssigner(new BasePathBucketAssigner<>())
                        .build())
                .name("write")
                .uid("write")
                .setParallelism(1); // some dozens of lines: one file
        env.execute(name);
    }

    /** A bad row is bad however often it is read: the job ends instead of restarting for ever. */
    private static Flight parse(String line) {
        try {
            return Flight.parse(line);
        } catch (BadRowException badRow) {
            throw new SuppressRestartsException(badRow);
        }
    }
}
