import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.TreeMap;
import org.apache.zookeeper.server.quorum.QuorumPeerConfig;

/**
 * What ZooKeeper's own parser has of files: lines of FILE, KEY and VALUE between tabs. Arguments: a data directory, since
 * that of the files is not on this machine, and the files.
 */
public class ReadBack {
  public static void main(String[] arguments) throws Exception {
    for (String file : Arrays.copyOfRange(arguments, 1, arguments.length)) {
      var properties = new java.util.Properties();
      try (var in = Files.newInputStream(Path.of(file))) {
        properties.load(in);
      }
      new TreeMap<>(properties).forEach((key, value) -> say(file, key, value));
      var config = new QuorumPeerConfig();
      properties.setProperty("dataDir", arguments[0]);
      config.parseProperties(properties);
      say(file, "parsed tickTime", config.getTickTime());
      say(file, "parsed clientPort", config.getClientPortAddress().getPort());
      config.getServers().forEach((id, server) -> say(file, "parsed server." + id, server.addr.getOne().getHostString()));
    }
  }

  private static void say(String file, Object key, Object value) {
    System.out.println(file + "\t" + key + "\t" + value);
  }
}
