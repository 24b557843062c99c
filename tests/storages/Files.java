import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.RecoverableFsDataOutputStream;
import org.apache.flink.core.fs.RecoverableWriter;
import org.apache.flink.core.plugin.PluginUtils;

/**
 * What Flink does with files, on a storage below URI, by the plugin and the options of a FLINK_CONF_DIR: a line for
 * each step that did what it should.
 *
 * <pre>
 * URI files
 * URI begin FOLDER    what a FileSink does until its TaskManager ends; its state is in FOLDER
 * URI again FOLDER    what it does on another one, until that ends, too
 * URI resume FOLDER   what it does on the last one
 * </pre>
 */
public final class Files {
  private static final String[] NAMES = {"small", "large"};
  private static final int MORE = 3000;
  private static final byte[] LARGE = new byte[12 << 20];
  private static FileSystem fs;

  public static void main(String[] args) throws Exception {
    Configuration configuration = GlobalConfiguration.loadConfiguration();
    FileSystem.initialize(configuration, PluginUtils.createPluginManagerFromRootFolder(configuration));
    Path base = new Path(args[0]);
    fs = base.getFileSystem();
    for (int i = 0; i < LARGE.length; i++) {
      LARGE[i] = (byte) (i * 31 + (i >> 12));
    }
    switch (args[1]) {
      case "begin":
        begin(base, args[2]);
        break;
      case "again":
        again(base, args[2]);
        break;
      case "resume":
        resume(base, args[2]);
        break;
      default:
        files(base);
    }
    System.exit(0);
  }

  private static void files(Path base) throws IOException {
    Path file = new Path(base, "a/b/file");
    expect(!fs.exists(file), "absent");
    write(file, FileSystem.WriteMode.OVERWRITE, "one");
    write(file, FileSystem.WriteMode.OVERWRITE, "two");
    expect(read(file).equals("two"), "written");
    try {
      write(file, FileSystem.WriteMode.NO_OVERWRITE, "three");
      throw new AssertionError("NO_OVERWRITE has overwritten");
    } catch (IOException e) {
      expect(read(file).equals("two"), "kept");
    }
    Path big = new Path(base, "a/big file+%");
    try (FSDataOutputStream out = fs.create(big, FileSystem.WriteMode.OVERWRITE)) {
      out.write(LARGE);
    }
    try (FSDataInputStream in = fs.open(big)) {
      expect(Arrays.equals(in.readAllBytes(), LARGE), "large");
      in.seek(7_000_001);
      expect(Arrays.equals(in.readNBytes(99), Arrays.copyOfRange(LARGE, 7_000_001, 7_000_100)), "sought");
    }
    for (int i = 0; i < 25; i++) {
      write(new Path(base, "a/c/" + i), FileSystem.WriteMode.OVERWRITE, "" + i);
    }
    FileStatus[] found = fs.listStatus(new Path(base, "a"));
    expect(found.length == 3, "listed");
    expect(fs.listStatus(new Path(base, "a/c")).length == 25, "listed-many");
    expect(fs.getFileStatus(file).getLen() == 3 && fs.getFileStatus(new Path(base, "a")).isDir(), "status");
    expect(fs.rename(file, new Path(base, "a/renamed")) && read(new Path(base, "a/renamed")).equals("two"), "renamed");
    expect(fs.delete(new Path(base, "a/renamed"), false) && !fs.exists(new Path(base, "a/renamed")), "deleted");
    expect(fs.delete(base, true) && !fs.exists(file) && !fs.exists(new Path(base, "a/c/7")), "deleted-all");
    try {
      fs.open(file).read();
      throw new AssertionError("a deleted file was read");
    } catch (FileNotFoundException e) {
      System.out.println("not-found");
    }
  }

  /** A FileSink's files, one of them larger than what it buffers: written, and kept by a checkpoint. */
  private static void begin(Path base, String kept) throws IOException {
    RecoverableWriter writer = fs.createRecoverableWriter();
    for (String name : NAMES) {
      RecoverableFsDataOutputStream out = writer.open(new Path(base, name));
      out.write(LARGE, 0, beginning(name));
      byte[] state = writer.getResumeRecoverableSerializer().serialize(out.persist());
      java.nio.file.Files.write(java.nio.file.Path.of(kept, name), state);
      out.write(LARGE, 0, 1000); // after the checkpoint: lost with the TaskManager
      expect(!fs.exists(new Path(base, name)), "unpublished");
    }
  }

  /** Another TaskManager continues with them, before it does anything else. */
  private static void again(Path base, String kept) throws IOException {
    for (String name : NAMES) {
      java.nio.file.Path file = java.nio.file.Path.of(kept, name);
      RecoverableWriter writer = fs.createRecoverableWriter();
      int version = writer.getResumeRecoverableSerializer().getVersion();
      RecoverableFsDataOutputStream out =
          writer.recover(
              writer.getResumeRecoverableSerializer().deserialize(version, java.nio.file.Files.readAllBytes(file)));
      out.write(LARGE, beginning(name), MORE);
      java.nio.file.Files.write(file, writer.getResumeRecoverableSerializer().serialize(out.persist()));
      System.out.println("continued");
    }
  }

  private static int beginning(String name) {
    return name.equals("large") ? 6 << 20 : 5;
  }

  /** The last one publishes them once. */
  private static void resume(Path base, String kept) throws IOException {
    for (String name : NAMES) {
      Path path = new Path(base, name);
      byte[] state = java.nio.file.Files.readAllBytes(java.nio.file.Path.of(kept, name));
      int beginning = beginning(name) + MORE;
      RecoverableWriter writer = fs.createRecoverableWriter();
      int version = writer.getResumeRecoverableSerializer().getVersion();
      RecoverableFsDataOutputStream out =
          writer.recover(writer.getResumeRecoverableSerializer().deserialize(version, state));
      // The plugin for Azure counts from where it continues
      expect(out.getPos() == beginning || out.getPos() == 0, "resumed");
      out.write(LARGE, beginning, 5 << 20);
      RecoverableWriter.CommitRecoverable ready = out.closeForCommit().getRecoverable();
      byte[] pending = writer.getCommitRecoverableSerializer().serialize(ready);
      version = writer.getCommitRecoverableSerializer().getVersion();
      for (String step : new String[] {"published", "published-again"}) {
        writer = fs.createRecoverableWriter();
        writer
            .recoverForCommit(writer.getCommitRecoverableSerializer().deserialize(version, pending))
            .commitAfterRecovery();
        try (FSDataInputStream in = fs.open(path)) {
          expect(Arrays.equals(in.readAllBytes(), Arrays.copyOf(LARGE, beginning + (5 << 20))), step);
        }
      }
    }
    expect(fs.delete(base, true), "removed");
  }

  private static void write(Path path, FileSystem.WriteMode mode, String text) throws IOException {
    try (FSDataOutputStream out = fs.create(path, mode)) {
      out.write(text.getBytes(StandardCharsets.UTF_8));
    }
  }

  private static String read(Path path) throws IOException {
    try (FSDataInputStream in = fs.open(path)) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  private static void expect(boolean held, String step) {
    if (!held) {
      throw new AssertionError(step);
    }
    System.out.println(step);
  }
}
