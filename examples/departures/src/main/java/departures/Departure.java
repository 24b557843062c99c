package departures;

/** A departure of a flight. Public fields and a public constructor make it a POJO, which Flink serializes by itself. */
public final class Departure {
    private static final String[] ORIGINS = {"EWR", "JFK", "LGA"};

    public String origin;
    public int delayMinutes;
    /** Milliseconds since 1970. */
    public long time;

    public Departure() {}

    private Departure(String origin, int delayMinutes, long time) {
        this.origin = origin;
        this.delayMinutes = delayMinutes;
        this.time = time;
    }

    /** An invented departure: a job of yours would read one from Kafka, or from files. */
    static Departure numbered(long number, long time) {
        int random = Math.floorMod(number * 0x9E3779B97F4A7C15L >>> 33, 1_000_000);
        return new Departure(ORIGINS[random % ORIGINS.length], random % 61 - 10, time);
    }
}
