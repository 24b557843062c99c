import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.plugin.PluginUtils;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.KeeperException;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.ZKUtil;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.ZooKeeper;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.data.Stat;

/**
 * What clusters leave on the storage and in ZooKeeper, seen and removed with Flink's own classes, so that every storage and
 * every kind of credentials works. A single file that the JDK compiles when it runs it, from 11 on.
 *
 * <pre>
 * purge URI...                 removes these folders
 * list HA QUORUM ROOT KEEP     tells what is below HA and ROOT, but for the clusters KEEP (ids, separated by commas)
 * delete HA QUORUM ROOT IDS    removes what `list` tells of these clusters
 * </pre>
 *
 * Lines on stdout, fields separated by tabs: `objects ID COUNT BYTES SECONDS` (since the last was written), `znode ID
 * PATH`, `leader ID` (one lives there), `foreign WHAT` (not Flink's, never touched), `removed WHAT COUNT`. Everything else
 * goes to stderr.
 */
public class State {
  private static final String CONFIGURATION = "/etc/flink";
  private static final int SESSION_MILLIS = 15_000;
  private static final int ANSWER_SECONDS = 90;

  /** Folders beside those of the clusters, each with a folder for each cluster in it (FLIP-194, FLIP-549). */
  private static final List<String> RESULT_STORES = List.of("job-result-store", "application-result-store");

  /** The folder below storageUri. */
  private static final String HA = "ha";

  private static final String HEX = "[0-9a-f]{32}";

  /** What Flink 2.2 and 2.3 write below the folder of a cluster: state handles (ZooKeeperUtils), blobs (BlobUtils). */
  private static final Pattern OBJECT =
      Pattern.compile(
          "(completedCheckpoint|submittedExecutionPlan|submittedJobGraph|submittedApplication)[0-9a-f]{12}"
              + "|blob/(no_job|job_" + HEX + "|application_" + HEX + ")/blob_[pt]-[0-9a-f]+-[0-9a-f]+");

  private static final Pattern RESULT = Pattern.compile(HEX + "(_DIRTY)?\\.json");

  /** The znodes below that of a cluster. */
  private static final Set<String> ZNODES = Set.of("applications", "execution-plans", "jobgraphs", "jobs", "leader");

  private final PrintStream out;

  private State(PrintStream out) {
    this.out = out;
  }

  public static void main(String[] args) throws Exception {
    PrintStream out = System.out;
    System.setOut(System.err); // log4j's default
    Configuration configuration = GlobalConfiguration.loadConfiguration(CONFIGURATION);
    FileSystem.initialize(configuration, PluginUtils.createPluginManagerFromRootFolder(configuration));
    try {
      new State(out).run(args);
    } catch (IOException | KeeperException | InterruptedException e) {
      System.err.println(causes(e));
      System.exit(1);
    }
    System.exit(0); // the S3 client's threads need not be waited for
  }

  private void run(String[] args) throws IOException, KeeperException, InterruptedException {
    answers(new Path(args[1]));
    switch (args[0]) {
      case "purge":
        for (String uri : Arrays.asList(args).subList(1, args.length)) {
          purge(new Path(uri));
        }
        break;
      case "list":
        try (Ensemble ensemble = new Ensemble(args[2])) {
          list(new Path(args[1]), ensemble.client, args[3], ids(args[4]));
        }
        break;
      case "delete":
        try (Ensemble ensemble = new Ensemble(args[2])) {
          for (String id : ids(args[4])) {
            delete(new Path(args[1]), ensemble.client, args[3], id);
          }
        }
        break;
      default:
        throw new IllegalArgumentException("expected purge, list or delete, found " + args[0]);
    }
  }

  /** File systems go on trying for many minutes; what then waits is a person. */
  private static void answers(Path folder) throws IOException, InterruptedException {
    Future<Boolean> asked = Executors.newSingleThreadExecutor().submit(() -> exists(folder));
    try {
      asked.get(ANSWER_SECONDS, TimeUnit.SECONDS);
    } catch (TimeoutException e) {
      throw new IOException("no answer from the storage at " + folder + " within " + ANSWER_SECONDS + " s");
    } catch (ExecutionException e) {
      throw new IOException("no access to " + folder, e.getCause());
    }
  }

  private void purge(Path folder) throws IOException {
    FileSystem system = folder.getFileSystem();
    Map<String, FileStatus> found = files(system, folder);
    if (exists(folder)) {
      system.delete(folder, true);
      Map<String, FileStatus> left = files(system, folder);
      if (!left.isEmpty()) {
        throw new IOException(left.size() + " objects are still at " + folder + ", such as " + left.keySet().iterator().next());
      }
      dropEmpty(system, folder.getParent());
    }
    out.println("removed\t" + folder + "\t" + found.size());
  }

  /** Some file systems mark folders with objects: those of ours that hold nothing any more go as well. */
  private static void dropEmpty(FileSystem system, Path folder) throws IOException {
    boolean ours = folder.getName().equals(HA) || RESULT_STORES.contains(folder.getName());
    if (ours && exists(folder) && statuses(system, folder).length == 0) {
      system.delete(folder, false);
      dropEmpty(system, folder.getParent());
    }
  }

  /** A folder on an object store is there if anything is below it, or if an object marks it. */
  private static boolean exists(Path folder) throws IOException {
    FileSystem system = folder.getFileSystem();
    return system.exists(folder) || statuses(system, folder).length > 0;
  }

  private void list(Path ha, ZooKeeper client, String root, Set<String> keep)
      throws IOException, KeeperException, InterruptedException {
    Set<String> ids = new TreeSet<>();
    FileSystem system = ha.getFileSystem();
    for (String name : folders(system, ha)) {
      if (!RESULT_STORES.contains(name)) {
        ids.add(name);
      }
    }
    for (String store : RESULT_STORES) {
      ids.addAll(folders(system, new Path(ha, store)));
    }
    ids.addAll(children(client, root));
    ids.removeAll(keep);
    for (String id : ids) {
      if (hasLeader(client, root, id)) {
        out.println("leader\t" + id);
        continue;
      }
      String foreign = foreign(ha, client, root, id);
      if (foreign != null) {
        out.println("foreign\t" + foreign);
        continue;
      }
      long count = 0;
      long bytes = 0;
      long last = 0;
      for (FileStatus status : objects(ha, id).values()) {
        count++;
        bytes += status.getLen();
        last = Math.max(last, status.getModificationTime());
      }
      boolean there = count > 0;
      for (Path place : places(ha, id)) {
        there |= exists(place);
      }
      if (there) {
        long age = count == 0 ? -1 : Math.max(0, (System.currentTimeMillis() - last) / 1000);
        out.println("objects\t" + id + "\t" + count + "\t" + bytes + "\t" + age);
      }
      if (client.exists(znode(root, id), false) != null) {
        out.println("znode\t" + id + "\t" + znode(root, id));
      }
    }
  }

  /** Looks again: what was listed may be in use meanwhile. */
  private void delete(Path ha, ZooKeeper client, String root, String id)
      throws IOException, KeeperException, InterruptedException {
    if (hasLeader(client, root, id)) {
      out.println("leader\t" + id);
      return;
    }
    String foreign = foreign(ha, client, root, id);
    if (foreign != null) {
      out.println("foreign\t" + foreign);
      return;
    }
    for (Path folder : places(ha, id)) {
      purge(folder);
    }
    if (client.exists(znode(root, id), false) != null) {
      ZKUtil.deleteRecursive(client, znode(root, id));
      out.println("removed\t" + znode(root, id) + "\t1");
    }
  }

  /** Something there that Flink did not write, or null: then all of it is the cluster's. */
  private static String foreign(Path ha, ZooKeeper client, String root, String id)
      throws IOException, KeeperException, InterruptedException {
    for (Path place : places(ha, id)) {
      Pattern known = place.getParent().equals(ha) ? OBJECT : RESULT;
      for (String name : files(place.getFileSystem(), place).keySet()) {
        if (!known.matcher(name).matches()) {
          return place + "/" + name;
        }
      }
    }
    for (String name : children(client, znode(root, id))) {
      if (!ZNODES.contains(name)) {
        return znode(root, id) + "/" + name;
      }
    }
    return null;
  }

  private static Map<String, FileStatus> objects(Path ha, String id) throws IOException {
    Map<String, FileStatus> found = new TreeMap<>();
    for (Path place : places(ha, id)) {
      files(place.getFileSystem(), place).forEach((name, status) -> found.put(place + "/" + name, status));
    }
    return found;
  }

  private static List<Path> places(Path ha, String id) {
    List<Path> places = new ArrayList<>(List.of(new Path(ha, id)));
    RESULT_STORES.forEach(store -> places.add(new Path(new Path(ha, store), id)));
    return places;
  }

  /** Every file below a folder, by its relative path; none if there is no such folder. */
  private static Map<String, FileStatus> files(FileSystem system, Path folder) throws IOException {
    Map<String, FileStatus> found = new TreeMap<>();
    collect(system, folder, "", found);
    return found;
  }

  private static void collect(FileSystem system, Path folder, String prefix, Map<String, FileStatus> found)
      throws IOException {
    for (FileStatus status : statuses(system, folder)) {
      String name = prefix + status.getPath().getName();
      if (status.isDir()) {
        collect(system, status.getPath(), name + "/", found);
      } else {
        found.put(name, status);
      }
    }
  }

  private static List<String> folders(FileSystem system, Path folder) throws IOException {
    List<String> names = new ArrayList<>();
    for (FileStatus status : statuses(system, folder)) {
      if (status.isDir()) {
        names.add(status.getPath().getName());
      }
    }
    return names;
  }

  private static FileStatus[] statuses(FileSystem system, Path folder) throws IOException {
    try {
      FileStatus[] found = system.listStatus(folder);
      return found == null ? new FileStatus[0] : found;
    } catch (FileNotFoundException e) {
      return new FileStatus[0];
    }
  }

  /** A JobManager stands for election with an ephemeral znode: one that lives is somebody's. */
  private static boolean hasLeader(ZooKeeper client, String root, String id) throws KeeperException, InterruptedException {
    String latch = znode(root, id) + "/leader/latch";
    for (String name : children(client, latch)) {
      Stat stat = client.exists(latch + "/" + name, false);
      if (stat != null && stat.getEphemeralOwner() != 0) {
        return true;
      }
    }
    return false;
  }

  private static List<String> children(ZooKeeper client, String path) throws KeeperException, InterruptedException {
    try {
      return client.getChildren(path, false);
    } catch (KeeperException.NoNodeException e) {
      return List.of();
    }
  }

  private static String znode(String root, String id) {
    return root + "/" + id;
  }

  private static Set<String> ids(String list) {
    Set<String> found = new TreeSet<>(Arrays.asList(list.split(",")));
    found.remove("");
    return found;
  }

  private static String causes(Throwable error) {
    StringBuilder text = new StringBuilder();
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      text.append(text.length() == 0 ? "" : ": ").append(cause);
    }
    return text.toString();
  }

  /** A connection to the ensemble. */
  private static class Ensemble implements AutoCloseable {
    final ZooKeeper client;

    Ensemble(String quorum) throws IOException, InterruptedException {
      CountDownLatch connected = new CountDownLatch(1);
      client =
          new ZooKeeper(
              quorum,
              SESSION_MILLIS,
              event -> {
                if (event.getState() == KeeperState.SyncConnected) {
                  connected.countDown();
                }
              });
      if (!connected.await(2 * SESSION_MILLIS, TimeUnit.MILLISECONDS)) {
        client.close();
        throw new IOException("no ZooKeeper server of " + quorum + " answers");
      }
    }

    @Override
    public void close() throws InterruptedException {
      client.close();
    }
  }
}
