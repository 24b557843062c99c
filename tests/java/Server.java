package flinkhost;

import java.io.File;
import java.net.InetSocketAddress;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.CreateMode;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.ZooDefs;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.ZooKeeper;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.NIOServerCnxnFactory;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.ServerCnxnFactory;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.ZooKeeperServer;

/** A ZooKeeper server in this process, and a client that creates nodes in it. */
final class Server implements AutoCloseable {
  final String quorum;
  private final ServerCnxnFactory connections;
  private final ZooKeeper client;

  Server(File folder) throws Exception {
    connections = new NIOServerCnxnFactory();
    connections.configure(new InetSocketAddress("127.0.0.1", 0), 100);
    connections.startup(new ZooKeeperServer(folder, folder, 500));
    quorum = "127.0.0.1:" + connections.getLocalPort();
    client = new ZooKeeper(quorum, 10_000, event -> {});
  }

  /** Creates nodes and their parents. */
  void make(String... paths) throws Exception {
    for (String path : paths) {
      for (int end = path.indexOf('/', 1); end > 0; end = path.indexOf('/', end + 1)) {
        makeOne(path.substring(0, end), CreateMode.PERSISTENT);
      }
      makeOne(path, CreateMode.PERSISTENT);
    }
  }

  /** A JobManager that takes part in the election. */
  void makeLeader(String node) throws Exception {
    make(node + "/leader/latch");
    makeOne(node + "/leader/latch/one", CreateMode.EPHEMERAL);
  }

  private void makeOne(String path, CreateMode mode) throws Exception {
    if (client.exists(path, false) == null) {
      client.create(path, new byte[0], ZooDefs.Ids.OPEN_ACL_UNSAFE, mode);
    }
  }

  @Override
  public void close() {
    try {
      client.close();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    connections.shutdown();
  }
}
