package flinkhost;

import java.io.PrintStream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.plugin.PluginUtils;

/** Flink's code as a daemon of this host has it: with the host's configuration and file systems. */
final class Flink {
  private static final String CONFIGURATION = "/etc/flink";

  private Flink() {}

  /** What the program's result goes to; all else that is printed, by log4j say, goes to stderr. */
  static PrintStream output() {
    PrintStream out = System.out;
    System.setOut(System.err);
    return out;
  }

  static Configuration start() {
    Configuration configuration = GlobalConfiguration.loadConfiguration(CONFIGURATION);
    FileSystem.initialize(configuration, PluginUtils.createPluginManagerFromRootFolder(configuration));
    return configuration;
  }

  /** An error and what was behind it, in one line. */
  static String causes(Throwable error) {
    StringBuilder text = new StringBuilder();
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      text.append(text.length() == 0 ? "" : ": ").append(cause);
    }
    return text.toString().replaceAll("\\s+", " ");
  }
}
