package flinkhost;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.Path;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.KeeperException;

/**
 * Stored results of ended jobs with which no JobManager of Flink 2.3 can start.
 *
 * <p>Flink 2.3 stores the result of a job that fails before its JobMaster starts, for instance because its state does not
 * fit, without an application id, and never removes it. At the next election each JobManager that leads then exits with
 * "Application ID is missing in the recovered job result" (measured). Releases before 2.3 know no applications, and
 * remove each result after the job's own files.
 */
final class Results {
  private static final Pattern UNFINISHED = Pattern.compile("([0-9a-f]{32})_DIRTY\\.json");
  private static final String WITH_APPLICATIONS = "org.apache.flink.runtime.highavailability.ApplicationResultStore";

  private final PrintStream out;
  private final long quiet;
  private final Ensemble ensemble;
  private final String node;
  private final Folder folder;

  /** `quiet`: seconds after which nobody is about to remove one. `node`: the cluster's in ZooKeeper. */
  Results(PrintStream out, long quiet, Ensemble ensemble, String node, Path ha, String cluster) throws IOException {
    this.out = out;
    this.quiet = quiet;
    this.ensemble = ensemble;
    this.node = node;
    this.folder = new Folder(new Path(new Path(ha, Remains.RESULT_STORES.get(0)), cluster));
  }

  /** Whether this release of Flink has the fault. */
  static boolean areRead() {
    try {
      Class.forName(WITH_APPLICATIONS, false, Results.class.getClassLoader());
      return true;
    } catch (ClassNotFoundException e) {
      return false;
    }
  }

  /**
   * Prints `incomplete URI` for each, or removes it: `removed URI 1`. `stored URI`: the job is still in ZooKeeper, and
   * would start again without the result: that one stays.
   */
  void handle(boolean remove) throws IOException, KeeperException, InterruptedException {
    for (Map.Entry<String, FileStatus> file : folder.files().entrySet()) {
      Matcher name = UNFINISHED.matcher(file.getKey());
      if (!name.matches() || Leftovers.age(Map.of(file.getKey(), file.getValue())) < quiet) {
        continue;
      }
      String text = new String(folder.read(file.getKey()), StandardCharsets.UTF_8);
      if (text.isEmpty() || text.contains("\"application-id\"")) {
        continue;
      }
      Path path = new Path(folder.path, file.getKey());
      if (isStored(name.group(1))) {
        out.println("stored\t" + path);
      } else if (remove) {
        path.getFileSystem().delete(path, false);
        out.println("removed\t" + path + "\t1");
      } else {
        out.println("incomplete\t" + path);
      }
    }
  }

  private boolean isStored(String job) throws KeeperException, InterruptedException {
    return ensemble.exists(node + "/execution-plans/" + job) || ensemble.exists(node + "/jobgraphs/" + job);
  }
}
