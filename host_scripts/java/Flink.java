package flinkhost;

import java.io.PrintStream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.configuration.SecurityOptions;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.plugin.PluginUtils;
import org.apache.flink.runtime.security.SecurityConfiguration;
import org.apache.flink.runtime.security.SecurityUtils;

/** Flink's code, as a daemon of this host uses it: with the host's configuration and file systems. */
final class Flink {
  private static final String CONFIGURATION = "/etc/flink";

  private Flink() {}

  /** The stream for the program's result. Everything else, such as log4j's output, goes to stderr. */
  static PrintStream output() {
    PrintStream out = System.out;
    System.setOut(System.err);
    return out;
  }

  static Configuration start() throws Exception {
    Configuration configuration = GlobalConfiguration.loadConfiguration(CONFIGURATION);
    if (configuration.contains(SecurityOptions.KERBEROS_LOGIN_KEYTAB)) {
      SecurityUtils.install(new SecurityConfiguration(configuration));
    }
    FileSystem.initialize(configuration, PluginUtils.createPluginManagerFromRootFolder(configuration));
    return configuration;
  }

  /** An error and its causes, in one line. */
  static String causes(Throwable error) {
    StringBuilder text = new StringBuilder();
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      text.append(text.length() == 0 ? "" : ": ").append(cause);
    }
    return text.toString().replaceAll("\\s+", " ");
  }
}
