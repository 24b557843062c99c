import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.configuration.SecurityOptions;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.plugin.PluginUtils;
import org.apache.flink.runtime.security.SecurityConfiguration;
import org.apache.flink.runtime.security.SecurityUtils;

/**
 * Writes a file below a URI, lists it, reads it and deletes it. Arguments: URI, this host's name, seconds. Prints what
 * is wrong, on a line, and exits with 1. File systems retry for many minutes, so each step has its time.
 */
public final class Access {
  private static volatile String step = "log in";

  private Access() {}

  public static void main(String[] args) throws Exception {
    PrintStream out = System.out;
    System.setOut(System.err);
    ExecutorService thread = Executors.newSingleThreadExecutor();
    Future<?> work =
        thread.submit(
            () -> {
              use(new Path(args[0]), args[1]);
              return null;
            });
    int code = 1;
    try {
      work.get(Long.parseLong(args[2]), TimeUnit.SECONDS);
      code = 0;
    } catch (TimeoutException e) {
      out.println("cannot " + step + ": no answer within " + args[2] + " s");
    } catch (ExecutionException e) {
      out.println("cannot " + step + ": " + causes(e.getCause()));
    }
    out.flush();
    Runtime.getRuntime().halt(code); // does not wait for threads of file systems
  }

  private static void use(Path place, String host) throws Exception {
    Configuration configuration = GlobalConfiguration.loadConfiguration("/etc/flink");
    if (configuration.contains(SecurityOptions.KERBEROS_LOGIN_KEYTAB)) {
      SecurityUtils.install(new SecurityConfiguration(configuration));
    }
    FileSystem.initialize(configuration, PluginUtils.createPluginManagerFromRootFolder(configuration));
    byte[] content = ("written by " + host + "\n").getBytes(StandardCharsets.UTF_8);
    Path path = new Path(place, ".access-" + host);
    FileSystem system = path.getFileSystem();
    step = "write";
    try (FSDataOutputStream out = system.create(path, FileSystem.WriteMode.OVERWRITE)) {
      out.write(content);
    }
    step = "list";
    if (Arrays.stream(system.listStatus(place)).noneMatch(it -> it.getPath().getName().equals(path.getName()))) {
      throw new IOException(path + " was written, and is not listed");
    }
    step = "read";
    try (FSDataInputStream in = system.open(path)) {
      if (!Arrays.equals(in.readAllBytes(), content)) {
        throw new IOException(path + " has other contents than were written");
      }
    }
    step = "delete";
    system.delete(path, false);
    if (system.exists(path)) {
      throw new IOException(path + " was deleted, and is still there");
    }
  }

  private static String causes(Throwable error) {
    StringBuilder text = new StringBuilder();
    for (Throwable cause = error; cause != null && text.length() < 1000; cause = cause.getCause()) {
      // What a server says is followed by its stack, on further lines
      text.append(text.length() == 0 ? "" : ": ").append(cause.toString().lines().findFirst().orElse(""));
    }
    return text.toString().replaceAll("\\s+", " ");
  }
}
