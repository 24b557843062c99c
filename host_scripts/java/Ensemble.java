package flinkhost;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.CreateMode;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.KeeperException;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.ZKUtil;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.ZooDefs;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.ZooKeeper;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.data.Stat;

/** A connection to the ensemble. */
final class Ensemble implements AutoCloseable {
  private static final int SESSION_MILLIS = 15_000;

  private final ZooKeeper client;

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

  boolean exists(String path) throws KeeperException, InterruptedException {
    return client.exists(path, false) != null;
  }

  /** Names of the children of a node; empty if it does not exist. */
  List<String> children(String path) throws KeeperException, InterruptedException {
    try {
      return client.getChildren(path, false);
    } catch (KeeperException.NoNodeException e) {
      return List.of();
    }
  }

  /** Whether a child of this node belongs to a live session. */
  boolean hasEphemeralChild(String path) throws KeeperException, InterruptedException {
    for (String name : children(path)) {
      Stat stat = client.exists(path + "/" + name, false);
      if (stat != null && stat.getEphemeralOwner() != 0) {
        return true;
      }
    }
    return false;
  }

  /**
   * Makes a node that ends with this connection, or with the life of this process; returns the text of the one that is
   * there already.
   */
  String claim(String path, String text) throws KeeperException, InterruptedException {
    // Its own after an answer that was lost
    while (!makeEphemeral(path, text) && !holds(path)) {
      try {
        return new String(client.getData(path, false, null), StandardCharsets.UTF_8);
      } catch (KeeperException.NoNodeException e) {
        // It has ended just now
      }
    }
    return "";
  }

  /** Its parents stay, so almost always they are there: who waits for a node asks often. */
  private boolean makeEphemeral(String path, String text)
      throws KeeperException, InterruptedException {
    try {
      return make(path, text, CreateMode.EPHEMERAL);
    } catch (KeeperException.NoNodeException e) {
      for (int end = path.indexOf('/', 1); end > 0; end = path.indexOf('/', end + 1)) {
        make(path.substring(0, end), "", CreateMode.PERSISTENT);
      }
      return make(path, text, CreateMode.EPHEMERAL);
    }
  }

  /** Whether a node that was claimed is still this connection's. */
  boolean holds(String path) throws KeeperException, InterruptedException {
    Stat stat = client.exists(path, false);
    return stat != null && stat.getEphemeralOwner() == client.getSessionId();
  }

  void release(String path) throws KeeperException, InterruptedException {
    if (holds(path)) {
      client.delete(path, -1);
    }
  }

  private boolean make(String path, String text, CreateMode mode) throws KeeperException, InterruptedException {
    try {
      client.create(path, text.getBytes(StandardCharsets.UTF_8), ZooDefs.Ids.OPEN_ACL_UNSAFE, mode);
      return true;
    } catch (KeeperException.NodeExistsException e) {
      return false;
    }
  }

  void remove(String path) throws KeeperException, InterruptedException {
    ZKUtil.deleteRecursive(client, path);
  }

  @Override
  public void close() {
    try {
      client.close();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
