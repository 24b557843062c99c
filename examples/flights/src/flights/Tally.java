package flights;

import java.math.BigDecimal;
import java.math.RoundingMode;

/**
 * What is known so far of one airport and hour. Integers only: their sums are the same in whatever order the flights
 * come, so neither parallelism nor a recovery can change the result.
 *
 * @param departures flights that left
 * @param delayMinutes sum of their departure delays
 * @param cancelled flights that never left
 */
public record Tally(long departures, long delayMinutes, long cancelled) {
    /** Of no flights. */
    public static final Tally NONE = new Tally(0, 0, 0);

    /** This tally with one flight more. */
    public Tally plus(Flight flight) {
        return flight.cancelled()
                ? new Tally(departures, delayMinutes, cancelled + 1)
                : new Tally(departures + 1, delayMinutes + flight.delayMinutes(), cancelled);
    }

    /**
     * The line {@code origin,hour,departures,mean_delay_minutes,cancelled}; the mean has two decimals, halves rounded
     * away from zero, and is empty where nothing departed.
     */
    public String toLine(String origin, int hour) {
        String mean = departures == 0
                ? ""
                : BigDecimal.valueOf(delayMinutes)
                        .divide(BigDecimal.valueOf(departures), 2, RoundingMode.HALF_UP)
                        .toPlainString();
        return origin + "," + hour + "," + departures + "," + mean + "," + cancelled;
    }
}
