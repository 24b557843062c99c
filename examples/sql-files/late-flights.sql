-- Flights that arrived more than an hour late, from CSV files on S3 to JSON files on S3. Every second the job looks for
-- new files; BUCKET stands for the bucket of both.

SET 'execution.checkpointing.interval' = '5 s';

CREATE TABLE flights (
  carrier STRING,
  flight INT,
  origin STRING,
  destination STRING,
  minutes_late INT
) WITH (
  'connector' = 'filesystem',
  'path' = 's3://BUCKET/sql-files/flights/',
  'format' = 'csv',
  'source.monitor-interval' = '1 s'
);

CREATE TABLE late (
  carrier STRING,
  flight INT,
  route STRING,
  minutes_late INT
) WITH (
  'connector' = 'filesystem',
  'path' = 's3://BUCKET/sql-files/late/',
  'format' = 'json',
  'sink.rolling-policy.rollover-interval' = '5 s',
  'sink.rolling-policy.check-interval' = '1 s'
);

INSERT INTO late
SELECT carrier, flight, origin || '-' || destination, minutes_late FROM flights WHERE minutes_late > 60;
