package flinkhost;

import java.io.IOException;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.HighAvailabilityOptions;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.Path;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.KeeperException;

/**
 * Lists and removes what clusters leave on the storage and in ZooKeeper, with Flink's own classes, so that every
 * storage and every kind of credentials works.
 *
 * <pre>
 * purge URI...                       removes these folders
 * list HA QUORUM ROOT QUIET KEEP     lists what is below HA and ROOT, except for the clusters KEEP (comma-separated ids)
 * delete HA QUORUM ROOT QUIET IDS    removes what `list` lists of these clusters
 * jobs HA QUORUM ROOT QUIET IDS      lists the checkpoints of jobs that nothing needs, and removes those of jobs IDS
 * mark                               renews the mark that the cluster of /etc/flink is alive
 * results [remove]                   lists, or removes, results with which no JobManager of this cluster starts (Results)
 * </pre>
 *
 * A cluster whose last object was written less than QUIET seconds ago may be alive, with its own ensemble.
 *
 * Lines on stdout, fields separated by tabs: `objects ID COUNT BYTES SECONDS` (since the last was written), `znode ID
 * PATH`, `leader ID` (it is alive), `recent ID SECONDS` (it may be alive elsewhere), `foreign WHAT` (not Flink's, never
 * removed), `removed WHAT COUNT`. Everything else goes to stderr.
 */
public final class Leftovers {
  private static final int ANSWER_SECONDS = 90;

  /** `up` removes those of declared jobs by itself sooner. */
  private static final int RESULT_SECONDS = 60;

  private final PrintStream out;

  /** Seconds. */
  private final long quiet;

  Leftovers(PrintStream out, long quiet) {
    this.out = out;
    this.quiet = quiet;
  }

  public static void main(String[] args) throws Exception {
    PrintStream out = Flink.output();
    Configuration configuration = Flink.start();
    try {
      if (args[0].equals("jobs")) {
        Folder.answers(new Path(args[1]), ANSWER_SECONDS);
        jobs(out, args, configuration);
      } else if (args[0].equals("mark")) {
        mark(configuration);
      } else if (args[0].equals("results")) {
        results(out, args.length > 1, configuration);
      } else {
        new Leftovers(out, args[0].equals("purge") ? 0 : Long.parseLong(args[4])).run(args);
      }
    } catch (IOException | KeeperException | InterruptedException e) {
      System.err.println(Flink.causes(e));
      System.exit(1);
    }
    System.exit(0); // does not wait for the S3 client's threads
  }

  private void run(String[] args) throws IOException, KeeperException, InterruptedException {
    Folder.answers(new Path(args[1]), ANSWER_SECONDS);
    switch (args[0]) {
      case "purge":
        for (String uri : Arrays.asList(args).subList(1, args.length)) {
          purge(new Path(uri));
        }
        break;
      case "list":
        try (Ensemble ensemble = new Ensemble(args[2])) {
          list(new Path(args[1]), ensemble, args[3], ids(args[5]));
        }
        break;
      case "delete":
        try (Ensemble ensemble = new Ensemble(args[2])) {
          for (String id : ids(args[5])) {
            delete(new Remains(new Path(args[1]), ensemble, args[3], id));
          }
        }
        break;
      default:
        throw new IllegalArgumentException("expected purge, list, delete, jobs, mark or results, found " + args[0]);
    }
  }

  static void mark(Configuration configuration) throws IOException {
    Remains.mark(new Path(configuration.get(HighAvailabilityOptions.HA_STORAGE_PATH)), cluster(configuration));
  }

  private static void results(PrintStream out, boolean remove, Configuration configuration)
      throws IOException, KeeperException, InterruptedException {
    if (!configuration.get(HighAvailabilityOptions.HA_MODE).equalsIgnoreCase("zookeeper") || !Results.areRead()) {
      return;
    }
    Path ha = new Path(configuration.get(HighAvailabilityOptions.HA_STORAGE_PATH));
    Folder.answers(ha, ANSWER_SECONDS);
    String id = cluster(configuration);
    try (Ensemble ensemble = new Ensemble(configuration.get(HighAvailabilityOptions.HA_ZOOKEEPER_QUORUM))) {
      String node = configuration.get(HighAvailabilityOptions.HA_ZOOKEEPER_ROOT) + "/" + id;
      new Results(out, RESULT_SECONDS, ensemble, node, ha, id).handle(remove);
    }
  }

  /** The id of this host's cluster; the option has it as a path. */
  private static String cluster(Configuration configuration) {
    return configuration.get(HighAvailabilityOptions.HA_CLUSTER_ID).replaceAll("^/", "");
  }

  /** `checkpoints` and `savepoints` are where this host's configuration says. */
  private static void jobs(PrintStream out, String[] args, Configuration configuration)
      throws IOException, KeeperException, InterruptedException {
    String id = cluster(configuration);
    Path checkpoints = new Path(configuration.get(CheckpointingOptions.CHECKPOINTS_DIRECTORY));
    if (checkpoints.getName().equals(configuration.toMap().get("s3.entropy.key"))) {
      checkpoints = checkpoints.getParent();
    }
    // Of our own: where storageUri is, if checkpoints or HA metadata are elsewhere
    String apart = configuration.toMap().get("flink-host.storage");
    try (Ensemble ensemble = new Ensemble(args[2])) {
      JobCheckpoints found =
          new JobCheckpoints(
              out,
              Long.parseLong(args[4]),
              ensemble,
              args[3] + "/" + id,
              new Path(args[1], id),
              checkpoints,
              new Path(configuration.get(CheckpointingOptions.SAVEPOINT_DIRECTORY)),
              apart == null ? checkpoints.getParent().getParent() : new Path(apart));
      Set<String> ids = ids(args[5]);
      if (ids.isEmpty()) {
        found.list();
      } else {
        found.delete(ids);
      }
    }
  }

  void purge(Path path) throws IOException {
    if (Remains.RESULT_STORES.contains(path.getName())) {
      throw new IOException(path + " belongs to all clusters of the storage: nothing was removed from it");
    }
    Folder folder = new Folder(path);
    List<String> foreign = Remains.foreign(folder);
    int count = foreign.isEmpty() ? folder.remove() : folder.removeAllBut(foreign);
    if (!foreign.isEmpty()) {
      System.err.println(
          foreign.size() + " objects below " + path + " are not Flink's and were kept, such as " + foreign.get(0));
    }
    removeEmpty(path.getParent());
    out.println("removed\t" + path + "\t" + count);
  }

  /** Some file systems mark folders with objects: our empty folders are removed, too. */
  private static void removeEmpty(Path path) throws IOException {
    boolean ours = path.getName().equals(Remains.HA) || Remains.RESULT_STORES.contains(path.getName());
    Folder folder = new Folder(path);
    if (ours && folder.exists() && folder.isEmpty()) {
      folder.removeEmpty();
      removeEmpty(path.getParent());
    }
  }

  void list(Path ha, Ensemble ensemble, String root, Set<String> keep)
      throws IOException, KeeperException, InterruptedException {
    for (String id : Remains.ids(ha, ensemble, root)) {
      Remains remains = new Remains(ha, ensemble, root, id);
      if (keep.contains(id)) {
        continue;
      }
      Map<String, FileStatus> objects = remains.objects();
      if (!isGarbage(remains, objects)) {
        continue;
      }
      if (remains.isOnStorage()) {
        out.println(told(id, objects));
      }
      if (remains.hasNode()) {
        out.println("znode\t" + id + "\t" + remains.node);
      }
    }
  }

  private static String told(String id, Map<String, FileStatus> objects) {
    long bytes = 0;
    for (FileStatus status : objects.values()) {
      bytes += status.getLen();
    }
    return String.join(
        "\t",
        List.of("objects", id, String.valueOf(objects.size()), String.valueOf(bytes), String.valueOf(age(objects))));
  }

  /** Seconds since the last was written, by the storage's clock and this host's; -1 if there is none. */
  static long age(Map<String, FileStatus> objects) {
    long last = -1;
    for (FileStatus status : objects.values()) {
      last = Math.max(last, status.getModificationTime());
    }
    return last < 0 ? -1 : Math.max(0, (System.currentTimeMillis() - last) / 1000);
  }

  /** Checks again: what was listed may be in use by now. */
  void delete(Remains remains) throws IOException, KeeperException, InterruptedException {
    if (!isGarbage(remains, remains.objects())) {
      return;
    }
    for (Folder folder : remains.folders()) {
      purge(folder.path);
    }
    if (remains.hasNode()) {
      remains.removeNode();
      out.println("removed\t" + remains.node + "\t1");
    }
  }

  /** Whether it is not known to be in use and all of it is Flink's; otherwise prints the reason. */
  private boolean isGarbage(Remains remains, Map<String, FileStatus> objects)
      throws IOException, KeeperException, InterruptedException {
    if (remains.hasLeader()) {
      out.println("leader\t" + remains.id);
      return false;
    }
    String foreign = remains.foreign();
    if (foreign != null) {
      out.println("foreign\t" + foreign);
      return false;
    }
    long age = age(objects);
    if (age >= 0 && age < quiet) {
      out.println("recent\t" + remains.id + "\t" + age);
      return false;
    }
    return true;
  }

  private static Set<String> ids(String list) {
    Set<String> found = new TreeSet<>(Arrays.asList(list.split(",")));
    found.remove("");
    return found;
  }
}
