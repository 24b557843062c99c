import java.nio.charset.StandardCharsets;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.plugin.PluginUtils;

/** Writes a file to each URI, by the plugin and the options of a FLINK_CONF_DIR. */
public final class Put {
  public static void main(String[] args) throws Exception {
    Configuration configuration = GlobalConfiguration.loadConfiguration();
    FileSystem.initialize(configuration, PluginUtils.createPluginManagerFromRootFolder(configuration));
    for (String uri : args) {
      Path path = new Path(uri);
      try (FSDataOutputStream stream = path.getFileSystem().create(path, FileSystem.WriteMode.OVERWRITE)) {
        stream.write("text".getBytes(StandardCharsets.UTF_8));
      }
    }
    System.exit(0); // does not wait for the S3 client's threads
  }
}
