package departures;

import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.util.ParameterTool;

/** Departures and their mean delay for each airport and window, without an end. Options: see README.md. */
public final class DeparturesJob {
    private DeparturesJob() {}

    public static void main(String[] args) throws Exception {
        ParameterTool options = ParameterTool.fromArgs(args);
        Path output = new Path(options.getRequired("output"));
        double perSecond = options.getDouble("per-second", 20);
        Duration window = Duration.ofSeconds(options.getLong("window-seconds", 5));

        // Checkpoints, parallelism and the job's name are not set here, so that its declaration can
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        NumberSequenceSource numbers = new NumberSequenceSource(0, Long.MAX_VALUE - 1);
        // With uids the state finds its operators again when the job has changed
        env.fromSource(numbers, WatermarkStrategy.noWatermarks(), "number")
                .uid("number")
                .map(new Paced(perSecond))
                .name("depart")
                .uid("depart")
                .assignTimestampsAndWatermarks(WatermarkStrategy.<Departure>forMonotonousTimestamps()
                        .withTimestampAssigner((departure, previous) -> departure.time))
                .name("time")
                .uid("time")
                .keyBy(departure -> departure.origin)
                .window(TumblingEventTimeWindows.of(window))
                .aggregate(new Delays(), new Row())
                .name("delays")
                .uid("delays")
                // Complete files only: each checkpoint publishes what has been written since the last one, once
                .sinkTo(FileSink.forRowFormat(output, new SimpleStringEncoder<String>())
                        .withRollingPolicy(OnCheckpointRollingPolicy.build())
                        .build())
                .name("write")
                // Its state are open files in this folder: a job with another one must leave them alone
                .uid("write " + output);
        env.execute("departures");
    }
}
