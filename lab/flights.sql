-- What examples/flights computes, said again in SQL: every value read as text, and refused unless it is as the
-- data set's documentation has it. The mean is in hundredths of a minute, halves rounded away from zero, by integers.
WITH flights AS (
    SELECT
        CASE
            WHEN regexp_full_match(origin, '[A-Z]{3}') THEN origin
            ELSE error('origin is not a three-letter code: ' || coalesce(origin, ''))
        END AS origin,
        CASE
            WHEN regexp_full_match(hour, '[0-9]{1,2}') AND hour::INTEGER < 24 THEN hour::INTEGER
            ELSE error('hour is not 0 to 23: ' || coalesce(hour, ''))::INTEGER
        END AS hour,
        CASE
            WHEN dep_delay IS NULL OR dep_delay = 'NA' THEN NULL
            WHEN regexp_full_match(dep_delay, '-?[0-9]{1,5}') THEN dep_delay::INTEGER
            ELSE error('dep_delay is neither minutes nor NA: ' || dep_delay)::INTEGER
        END AS delay
    FROM read_csv(
        ?, header = true, delim = ',', quote = '', escape = '', auto_detect = false, strict_mode = true,
        columns = {
            'year': 'VARCHAR', 'month': 'VARCHAR', 'day': 'VARCHAR', 'dep_time': 'VARCHAR',
            'sched_dep_time': 'VARCHAR', 'dep_delay': 'VARCHAR', 'arr_time': 'VARCHAR',
            'sched_arr_time': 'VARCHAR', 'arr_delay': 'VARCHAR', 'carrier': 'VARCHAR', 'flight': 'VARCHAR',
            'tailnum': 'VARCHAR', 'origin': 'VARCHAR', 'dest': 'VARCHAR', 'air_time': 'VARCHAR',
            'distance': 'VARCHAR', 'hour': 'VARCHAR', 'minute': 'VARCHAR', 'time_hour': 'VARCHAR'
        }
    )
), tallies AS (
    SELECT
        origin, hour, count(delay) AS departures, coalesce(sum(delay), 0) AS minutes, count(*) - count(delay) AS cancelled
    FROM flights
    GROUP BY origin, hour
)
SELECT
    origin,
    hour,
    departures,
    CASE WHEN departures > 0 THEN sign(minutes) * ((200 * abs(minutes) + departures) // (2 * departures)) END AS hundredths,
    cancelled
FROM tallies
ORDER BY origin, hour
