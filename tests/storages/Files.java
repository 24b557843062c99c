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
 * each step that did what it should. `recoverable` or `no-recoverable`: whether a FileSink is expected to work.
 */
public final class Files {
  private static FileSystem fs;

  public static void main(String[] args) throws Exception {
    Configuration configuration = GlobalConfiguration.loadConfiguration();
    FileSystem.initialize(configuration, PluginUtils.createPluginManagerFromRootFolder(configuration));
    Path base = new Path(args[0]);
    fs = base.getFileSystem();
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
    byte[] large = new byte[12 << 20];
    for (int i = 0; i < large.length; i++) {
      large[i] = (byte) (i * 31 + (i >> 12));
    }
    Path big = new Path(base, "a/big file+%");
    try (FSDataOutputStream out = fs.create(big, FileSystem.WriteMode.OVERWRITE)) {
      out.write(large);
    }
    try (FSDataInputStream in = fs.open(big)) {
      expect(Arrays.equals(in.readAllBytes(), large), "large");
      in.seek(7_000_001);
      expect(Arrays.equals(in.readNBytes(99), Arrays.copyOfRange(large, 7_000_001, 7_000_100)), "sought");
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
    if (args[1].equals("recoverable")) {
      recoverable(new Path(base, "sink/part-0"), large);
    } else {
      try {
        fs.createRecoverableWriter();
        throw new AssertionError("there is a recoverable writer");
      } catch (IOException | UnsupportedOperationException e) {
        System.out.println("no-recoverable-writer: " + e.getMessage());
      }
    }
    expect(fs.delete(base, true) && !fs.exists(file) && !fs.exists(new Path(base, "a/c/7")), "deleted-all");
    try {
      fs.open(file).read();
      throw new AssertionError("a deleted file was read");
    } catch (FileNotFoundException e) {
      System.out.println("not-found");
    }
    System.exit(0);
  }

  /** A FileSink's file: written, kept by a checkpoint, lost and recovered, published once. */
  private static void recoverable(Path path, byte[] large) throws IOException {
    RecoverableWriter writer = fs.createRecoverableWriter();
    RecoverableFsDataOutputStream out = writer.open(path);
    out.write(large, 0, 6 << 20);
    RecoverableWriter.ResumeRecoverable checkpoint = out.persist();
    out.write(large, 0, 1000); // after the checkpoint: lost with the TaskManager
    expect(!fs.exists(path), "unpublished");
    byte[] kept = writer.getResumeRecoverableSerializer().serialize(checkpoint);
    int version = writer.getResumeRecoverableSerializer().getVersion();
    writer = fs.createRecoverableWriter();
    out = writer.recover(writer.getResumeRecoverableSerializer().deserialize(version, kept));
    expect(out.getPos() == 6 << 20, "resumed");
    out.write(large, 6 << 20, 6 << 20);
    RecoverableWriter.CommitRecoverable ready = out.closeForCommit().getRecoverable();
    byte[] pending = writer.getCommitRecoverableSerializer().serialize(ready);
    version = writer.getCommitRecoverableSerializer().getVersion();
    writer = fs.createRecoverableWriter();
    RecoverableFsDataOutputStream.Committer committer =
        writer.recoverForCommit(writer.getCommitRecoverableSerializer().deserialize(version, pending));
    committer.commitAfterRecovery();
    try (FSDataInputStream in = fs.open(path)) {
      expect(Arrays.equals(in.readAllBytes(), large), "published");
    }
    writer.recoverForCommit(writer.getCommitRecoverableSerializer().deserialize(version, pending)).commitAfterRecovery();
    System.out.println("published-again");
    // A file that fits into a buffer, as most are
    out = writer.open(new Path(path.getParent(), "part-1"));
    out.write("small".getBytes(StandardCharsets.UTF_8));
    checkpoint = out.persist();
    kept = writer.getResumeRecoverableSerializer().serialize(checkpoint);
    writer = fs.createRecoverableWriter();
    version = writer.getResumeRecoverableSerializer().getVersion();
    out = writer.recover(writer.getResumeRecoverableSerializer().deserialize(version, kept));
    out.write("er".getBytes(StandardCharsets.UTF_8));
    out.closeForCommit().commit();
    expect(read(new Path(path.getParent(), "part-1")).equals("smaller"), "small");
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
