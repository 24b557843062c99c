package choosy;

import java.io.IOException;
import java.io.InvalidClassException;
import java.io.ObjectInputStream;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/** A job that only the release of Flink that stored it can read, as if one of its classes had changed. */
public final class ChoosyJob {
    public static void main(String[] args) throws Exception {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.fromSource(new NumberSequenceSource(0, Long.MAX_VALUE - 1), WatermarkStrategy.noWatermarks(), "numbers")
                .map(new Choosy())
                .sinkTo(new DiscardingSink<>());
        env.execute("choosy");
    }

    private static final class Choosy implements MapFunction<Long, Long> {
        private static final long serialVersionUID = 1;
        private final String madeBy = EnvironmentInformation.getVersion();

        @Override
        public Long map(Long number) throws InterruptedException {
            Thread.sleep(10); // it only has to run, without using much CPU
            return number;
        }

        private void readObject(ObjectInputStream in) throws IOException, ClassNotFoundException {
            in.defaultReadObject();
            if (!madeBy.equals(EnvironmentInformation.getVersion())) {
                throw new InvalidClassException("choosy.Choosy", "made by " + madeBy);
            }
        }
    }
}
