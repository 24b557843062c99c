package records;

import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimitedSourceReader;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;

/**
 * The numbers from 0 to N-1 at a fixed total rate, each reader at its share. Each reader has ranges of its own and goes
 * on from the number at which the last checkpoint was.
 */
final class PacedNumbers extends NumberSequenceSource {
    private static final long serialVersionUID = 1L;

    private final double numbersPerSecond;

    PacedNumbers(long numbers, double numbersPerSecond) {
        super(0, numbers - 1);
        this.numbersPerSecond = numbersPerSecond;
    }

    // Flink's factory of limiters is a raw type
    @SuppressWarnings({"unchecked", "rawtypes"})
    @Override
    public SourceReader<Long, NumberSequenceSplit> createReader(SourceReaderContext context) {
        RateLimiterStrategy pace = RateLimiterStrategy.perSecond(numbersPerSecond);
        return new RateLimitedSourceReader<>(
                super.createReader(context), pace.createRateLimiter(context.currentParallelism()));
    }
}
