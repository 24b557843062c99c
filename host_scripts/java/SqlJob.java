package flinkhost;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.internal.TableEnvironmentInternal;
import org.apache.flink.table.operations.ModifyOperation;
import org.apache.flink.table.operations.Operation;
import org.apache.flink.table.operations.QueryOperation;
import org.apache.flink.table.operations.ReplaceTableAsOperation;
import org.apache.flink.table.operations.StatementSetOperation;
import org.apache.flink.table.operations.command.ExecutePlanOperation;
import org.apache.flink.table.operations.ddl.AnalyzeTableOperation;

/**
 * The main class of a declared job whose program is a SQL script. Flink's client starts it, so its id, savepoint, options
 * and parallelism are those of any job. The last statement makes the job: one INSERT or one statement set.
 *
 * <p>`${secret:NAME}` in a statement is the content of a file that the job's secret of this name is in.
 */
public final class SqlJob {
  static final Path SECRETS = Paths.get("/etc/flink/job-secrets");

  private static final Pattern SET =
      Pattern.compile("SET\\s+'([^']+)'\\s*=\\s*'((?:[^']|'')*)'", Pattern.CASE_INSENSITIVE);
  private static final Pattern SECRET = Pattern.compile("\\$\\{secret:([A-Za-z0-9._-]+)\\}");

  private final Path secrets;
  private final Map<String, String> known = new HashMap<>();

  SqlJob(Path secrets) {
    this.secrets = secrets;
  }

  public static void main(String[] args) throws Exception {
    new SqlJob(SECRETS).run(SqlScript.statements(Files.readString(Paths.get(args[0]))));
  }

  void run(List<String> statements) throws Exception {
    if (statements.isEmpty()) {
      throw new IllegalArgumentException("the script has no statement");
    }
    TableEnvironment tables =
        TableEnvironment.create(EnvironmentSettings.newInstance().withConfiguration(mode(statements)).build());
    int number = 0;
    for (String statement : statements) {
      number++;
      try {
        run(tables, withSecrets(statement), number == statements.size());
      } catch (Exception | LinkageError e) {
        throw new IllegalArgumentException("statement " + number + " (" + head(statement) + "): " + said(e));
      }
    }
  }

  private static void run(TableEnvironment tables, String statement, boolean last) throws Exception {
    Matcher set = SET.matcher(statement);
    if (set.matches()) {
      tables.getConfig().set(set.group(1), set.group(2).replace("''", "'"));
    } else {
      boolean makesJob = makesJob(((TableEnvironmentInternal) tables).getParser().parse(statement));
      if (makesJob && !last) {
        throw new IllegalArgumentException(
            "it makes a job, and more statements follow: expected one INSERT or one statement set, at the end");
      }
      if (makesJob || !last) {
        tables.executeSql(statement);
        return;
      }
    }
    if (last) {
      throw new IllegalArgumentException("it makes no job: expected one INSERT or one statement set, at the end");
    }
  }

  static boolean makesJob(List<Operation> operations) {
    for (Operation one : operations) {
      if (one instanceof QueryOperation || one instanceof AnalyzeTableOperation) {
        throw new IllegalArgumentException("its result goes nowhere: expected an INSERT");
      }
      if (one instanceof ModifyOperation
          || one instanceof StatementSetOperation
          || one instanceof ReplaceTableAsOperation
          || one instanceof ExecutePlanOperation
          || one.getClass().getSimpleName().equals("CompileAndExecutePlanOperation")
          || one.getClass().getSimpleName().equals("CreateTableASOperation")) {
        return true;
      }
    }
    return false;
  }

  /** The mode has to be known before the first statement: it decides which planner there is. */
  private static org.apache.flink.configuration.Configuration mode(List<String> statements) {
    org.apache.flink.configuration.Configuration found = new org.apache.flink.configuration.Configuration();
    RuntimeExecutionMode mode =
        StreamExecutionEnvironment.getExecutionEnvironment()
            .getConfiguration()
            .get(ExecutionOptions.RUNTIME_MODE);
    for (String statement : statements) {
      Matcher set = SET.matcher(statement);
      if (set.matches() && set.group(1).equals(ExecutionOptions.RUNTIME_MODE.key())) {
        mode = RuntimeExecutionMode.valueOf(set.group(2).toUpperCase());
      }
    }
    boolean batch = mode == RuntimeExecutionMode.BATCH;
    found.set(
        ExecutionOptions.RUNTIME_MODE, batch ? RuntimeExecutionMode.BATCH : RuntimeExecutionMode.STREAMING);
    return found;
  }

  private String withSecrets(String statement) throws Exception {
    Matcher found = SECRET.matcher(statement);
    StringBuilder text = new StringBuilder();
    while (found.find()) {
      Path file = secrets.resolve(found.group(1));
      if (!Files.isRegularFile(file)) {
        throw new IllegalArgumentException("the job has no secret " + found.group(1));
      }
      String value = Files.readString(file);
      value = value.endsWith("\n") ? value.substring(0, value.length() - 1) : value;
      known.put(found.group(1), value);
      // In a string of SQL a quote is doubled
      found.appendReplacement(text, Matcher.quoteReplacement(value.replace("'", "''")));
    }
    return found.appendTail(text).toString();
  }

  /** All causes on a line, without secrets. */
  private String said(Throwable error) {
    List<String> causes = new ArrayList<>();
    for (Throwable one = error; one != null && causes.size() < 5; one = one.getCause()) {
      String message = one.getMessage() == null ? one.getClass().getName() : one.getMessage();
      if (causes.stream().noneMatch(earlier -> earlier.contains(message))) {
        causes.add(message);
      }
    }
    String text = String.join(": ", causes);
    for (Map.Entry<String, String> secret : known.entrySet()) {
      if (!secret.getValue().isEmpty()) {
        text = text.replace(secret.getValue(), "${secret:" + secret.getKey() + "}");
        text = text.replace(secret.getValue().replace("'", "''"), "${secret:" + secret.getKey() + "}");
      }
    }
    return text.replaceAll("\\s+", " ").trim();
  }

  private static String head(String statement) {
    String line = statement.replaceAll("\\s+", " ");
    return line.length() <= 40 ? line : line.substring(0, 40) + "…";
  }
}
