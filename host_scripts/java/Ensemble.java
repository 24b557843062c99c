package flinkhost;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.KeeperException;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.ZKUtil;
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
