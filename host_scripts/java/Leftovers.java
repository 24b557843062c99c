package flinkhost;

import java.io.IOException;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.Path;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.KeeperException;

/**
 * What clusters leave on the storage and in ZooKeeper, seen and removed with Flink's own classes, so that every storage
 * and every kind of credentials works.
 *
 * <pre>
 * purge URI...                 removes these folders
 * list HA QUORUM ROOT KEEP     tells what is below HA and ROOT, but for the clusters KEEP (ids, separated by commas)
 * delete HA QUORUM ROOT IDS    removes what `list` tells of these clusters
 * </pre>
 *
 * Lines on stdout, fields separated by tabs: `objects ID COUNT BYTES SECONDS` (since the last was written), `znode ID
 * PATH`, `leader ID` (one lives there), `foreign WHAT` (not Flink's, never touched), `removed WHAT COUNT`. Everything
 * else goes to stderr.
 */
public final class Leftovers {
  private static final int ANSWER_SECONDS = 90;

  /** The folder below storageUri. */
  private static final String HA = "ha";

  private final PrintStream out;

  Leftovers(PrintStream out) {
    this.out = out;
  }

  public static void main(String[] args) throws Exception {
    PrintStream out = Flink.output();
    Flink.start();
    try {
      new Leftovers(out).run(args);
    } catch (IOException | KeeperException | InterruptedException e) {
      System.err.println(Flink.causes(e));
      System.exit(1);
    }
    System.exit(0); // the S3 client's threads need not be waited for
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
          list(new Path(args[1]), ensemble, args[3], ids(args[4]));
        }
        break;
      case "delete":
        try (Ensemble ensemble = new Ensemble(args[2])) {
          for (String id : ids(args[4])) {
            delete(new Remains(new Path(args[1]), ensemble, args[3], id));
          }
        }
        break;
      default:
        throw new IllegalArgumentException("expected purge, list or delete, found " + args[0]);
    }
  }

  void purge(Path path) throws IOException {
    int count = new Folder(path).remove();
    removeEmpty(path.getParent());
    out.println("removed\t" + path + "\t" + count);
  }

  /** Some file systems mark folders with objects: those of ours that hold nothing any more go as well. */
  private static void removeEmpty(Path path) throws IOException {
    boolean ours = path.getName().equals(HA) || Remains.RESULT_STORES.contains(path.getName());
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
      if (keep.contains(id) || !isGarbage(remains)) {
        continue;
      }
      if (remains.isOnStorage()) {
        out.println(objects(remains));
      }
      if (remains.hasNode()) {
        out.println("znode\t" + id + "\t" + remains.node);
      }
    }
  }

  private static String objects(Remains remains) throws IOException {
    Map<String, FileStatus> found = remains.objects();
    long bytes = 0;
    long last = 0;
    for (FileStatus status : found.values()) {
      bytes += status.getLen();
      last = Math.max(last, status.getModificationTime());
    }
    long age = found.isEmpty() ? -1 : Math.max(0, (System.currentTimeMillis() - last) / 1000);
    return String.join(
        "\t",
        List.of("objects", remains.id, String.valueOf(found.size()), String.valueOf(bytes), String.valueOf(age)));
  }

  /** Looks again: what was listed may be in use meanwhile. */
  void delete(Remains remains) throws IOException, KeeperException, InterruptedException {
    if (!isGarbage(remains)) {
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

  /** Whether nobody uses it and all of it is Flink's; otherwise tells why not. */
  private boolean isGarbage(Remains remains) throws IOException, KeeperException, InterruptedException {
    if (remains.hasLeader()) {
      out.println("leader\t" + remains.id);
      return false;
    }
    String foreign = remains.foreign();
    if (foreign != null) {
      out.println("foreign\t" + foreign);
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
