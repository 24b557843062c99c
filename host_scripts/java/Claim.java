package flinkhost;

import java.io.File;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.StandardOpenOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.HighAvailabilityOptions;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.KeeperException;

/**
 * The right to change something, such as a job, of which all JobManagers' hosts of a cluster together grant one at a
 * time. It ends with this process at the latest. With high availability it is a node in ZooKeeper, beside Flink's own;
 * without, the only JobManager's host has a file.
 */
final class Claim {
  private static final int ANSWER_MILLIS = 30_000;
  private static final int PAUSE_MILLIS = 500;

  private final Configuration configuration;
  private Ensemble ensemble;
  private String node;
  private FileChannel file;

  Claim(Configuration configuration) {
    this.configuration = configuration;
  }

  /** The node below which a cluster's claims are. */
  static String nodes(String root, String cluster) {
    return root + "-jobs/" + cluster;
  }

  /** Takes it, in the words of whoever does; returns the words of who has it, or nothing. */
  String take(String what, String who) throws IOException, KeeperException, InterruptedException {
    if (!configuration.get(HighAvailabilityOptions.HA_MODE).equalsIgnoreCase("zookeeper")) {
      return takeHere(new File("/var/lib/flink/jobs", "." + what + ".lock"));
    }
    if (ensemble == null) {
      ensemble = new Ensemble(configuration.get(HighAvailabilityOptions.HA_ZOOKEEPER_QUORUM));
    }
    String cluster = configuration.get(HighAvailabilityOptions.HA_CLUSTER_ID).replaceAll("^/", "");
    node = nodes(configuration.get(HighAvailabilityOptions.HA_ZOOKEEPER_ROOT), cluster) + "/" + what;
    String other = ensemble.claim(node, who);
    if (!other.isEmpty()) {
      node = null;
    }
    return other;
  }

  private String takeHere(File path) throws IOException {
    path.getParentFile().mkdirs();
    file = FileChannel.open(path.toPath(), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    FileLock lock = file.tryLock();
    if (lock == null) {
      file.close();
      file = null;
      return "another run on this host";
    }
    return "";
  }

  /** Fails if it was taken, and is another's by now: then whoever has it continues from what was written before. */
  void check() throws IOException, InterruptedException {
    long end = System.currentTimeMillis() + ANSWER_MILLIS;
    while (node != null) {
      try {
        if (ensemble.holds(node)) {
          return;
        }
        throw new IOException("this run was cut off from ZooKeeper, and another may have taken over");
      } catch (KeeperException.ConnectionLossException e) {
        if (System.currentTimeMillis() > end) {
          throw new IOException("no ZooKeeper server answers", e);
        }
        Thread.sleep(PAUSE_MILLIS);
      } catch (KeeperException e) {
        throw new IOException("this run was cut off from ZooKeeper", e);
      }
    }
  }

  void release() throws IOException, KeeperException, InterruptedException {
    if (node != null) {
      ensemble.release(node);
      node = null;
    }
    if (file != null) {
      file.close();
      file = null;
    }
  }
}
