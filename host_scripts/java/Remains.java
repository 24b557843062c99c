package flinkhost;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.Path;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.KeeperException;

/** The HA metadata that one cluster has left: objects below the folder `ha`, and a node in ZooKeeper. */
final class Remains {
  /** The folder below storageUri. */
  static final String HA = "ha";

  /** Folders beside those of the clusters, which contain a folder for each cluster (FLIP-194, FLIP-549). */
  static final List<String> RESULT_STORES = List.of("job-result-store", "application-result-store");

  /** An object that each living cluster renews: its age is that of the cluster, even without jobs. */
  static final String MARK = "alive";

  private static final String HEX = "[0-9a-f]{32}";

  /** The objects below a cluster's folder: Flink 2.2's and 2.3's state handles (ZooKeeperUtils) and blobs (BlobUtils), our mark. */
  private static final Pattern OBJECT =
      Pattern.compile(
          "(completedCheckpoint|submittedExecutionPlan|submittedJobGraph|submittedApplication)[0-9a-f]{12}"
              + "|blob/(no_job|job_" + HEX + "|application_" + HEX + ")/blob_[pt]-[0-9a-f]+-[0-9a-f]+"
              + "|" + MARK);

  private static final Pattern RESULT = Pattern.compile(HEX + "(_DIRTY)?\\.json");

  /** The children of a cluster's node. */
  private static final Set<String> NODES = Set.of("applications", "execution-plans", "jobgraphs", "jobs", "leader");

  final String id;
  final String node;
  private final String claims;
  private final Path ha;
  private final Ensemble ensemble;

  Remains(Path ha, Ensemble ensemble, String root, String id) {
    this.id = id;
    this.node = root + "/" + id;
    this.claims = Claim.nodes(root, id);
    this.ha = ha;
    this.ensemble = ensemble;
  }

  /** Ids of all clusters that have left anything, or are alive. */
  static Set<String> ids(Path ha, Ensemble ensemble, String root)
      throws IOException, KeeperException, InterruptedException {
    Set<String> ids = new TreeSet<>(new Folder(ha).folders());
    ids.removeAll(RESULT_STORES);
    for (String store : RESULT_STORES) {
      ids.addAll(new Folder(new Path(ha, store)).folders());
    }
    ids.addAll(ensemble.children(root));
    return ids;
  }

  /** A JobManager takes part in the election with an ephemeral node: with such a node the cluster is alive. */
  boolean hasLeader() throws KeeperException, InterruptedException {
    return ensemble.hasEphemeralChild(node + "/leader/latch");
  }

  boolean hasNode() throws KeeperException, InterruptedException {
    return ensemble.exists(node);
  }

  /** Whether there is anything on the storage, even if only an empty folder. */
  boolean isOnStorage() throws IOException {
    for (Folder folder : folders()) {
      if (folder.exists()) {
        return true;
      }
    }
    return false;
  }

  /** The folders that belong to this cluster only; they may not exist. */
  List<Folder> folders() throws IOException {
    List<Folder> folders = new ArrayList<>(List.of(new Folder(new Path(ha, id))));
    for (String store : RESULT_STORES) {
      folders.add(new Folder(new Path(new Path(ha, store), id)));
    }
    return folders;
  }

  Map<String, FileStatus> objects() throws IOException {
    Map<String, FileStatus> found = new TreeMap<>();
    for (Folder folder : folders()) {
      folder.files().forEach((name, status) -> found.put(folder.path + "/" + name, status));
    }
    return found;
  }

  /** An object or node that Flink did not write; null if everything is Flink's. */
  String foreign() throws IOException, KeeperException, InterruptedException {
    for (Folder folder : folders()) {
      List<String> found = foreign(folder);
      if (!found.isEmpty()) {
        return folder.path + "/" + found.get(0);
      }
    }
    for (String name : ensemble.children(node)) {
      if (!NODES.contains(name)) {
        return node + "/" + name;
      }
    }
    return null;
  }

  /** Relative paths below a cluster's folder in HA that Flink did not write; empty for other folders. */
  static List<String> foreign(Folder folder) throws IOException {
    List<String> found = new ArrayList<>();
    String parent = folder.path.getParent().getName();
    if (RESULT_STORES.contains(parent) || parent.equals(HA)) {
      Pattern known = parent.equals(HA) ? OBJECT : RESULT;
      for (String name : folder.files().keySet()) {
        if (!known.matcher(name).matches()) {
          found.add(name);
        }
      }
    }
    return found;
  }

  static void mark(Path ha, String id) throws IOException {
    String text = "The cluster " + id + " was alive when this was written.\n";
    new Folder(new Path(ha, id)).write(MARK, text.getBytes(StandardCharsets.UTF_8));
  }

  /** First what is found only as long as the node is there. */
  void removeNode() throws KeeperException, InterruptedException {
    if (ensemble.exists(claims)) {
      ensemble.remove(claims);
    }
    ensemble.remove(node);
  }
}
