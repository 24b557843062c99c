package flinkhost;

import java.io.BufferedReader;
import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.KeeperException;

/**
 * Files on the storage for a process that talks to this one: a request on each line of stdin, its answer on a line of
 * stdout. Fields are separated by tabs.
 *
 * <pre>
 * read URI           ok BASE64, or none (also for an empty file)
 * write URI BASE64   ok
 * put FILE URI       ok        copies a file of this host to the storage
 * fetch URI FILE     ok, or none
 * list URI           ok NAME MILLISECONDS NAME MILLISECONDS …   files below it, by relative name, with their time
 * delete URI         ok        also a folder with all in it
 * size URI           ok BYTES  of all files below it
 * claim WHAT WHO     ok, or ok WHO if another process has it; then nothing is written that it has not allowed (Claim)
 * release            ok
 * </pre>
 *
 * What fails is answered with `error MESSAGE`.
 */
public final class Store {
  private final Claim claim;

  private Store(Configuration configuration) {
    claim = new Claim(configuration);
  }

  public static void main(String[] args) throws Exception {
    PrintStream out = Flink.output();
    Store store = new Store(Flink.start());
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      out.println(store.answer(line.split("\t", -1)));
      out.flush();
    }
    System.exit(0); // does not wait for the S3 client's threads
  }

  private String answer(String[] words) {
    try {
      if (List.of("write", "put", "delete").contains(words[0])) {
        claim.check();
      }
      switch (words[0]) {
        case "read":
          return read(new Path(words[1]));
        case "write":
          Path path = new Path(words[1]);
          new Folder(path.getParent()).writeAtOnce(path.getName(), Base64.getDecoder().decode(words[2]));
          return "ok";
        case "put":
          put(new File(words[1]), new Path(words[2]));
          return "ok";
        case "fetch":
          return fetch(new Path(words[1]), new File(words[2]));
        case "list":
          return list(new Path(words[1]));
        case "delete":
          new Path(words[1]).getFileSystem().delete(new Path(words[1]), true);
          return "ok";
        case "size":
          return "ok\t" + new Folder(new Path(words[1])).files().values().stream().mapToLong(FileStatus::getLen).sum();
        case "claim":
          String other = claim.take(words[1], words[2]);
          return other.isEmpty() ? "ok" : "ok\t" + other;
        case "release":
          claim.release();
          return "ok";
        default:
          return "error\tunknown request " + words[0];
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return "error\tinterrupted";
    } catch (IOException | KeeperException | RuntimeException e) {
      return "error\t" + Flink.causes(e);
    }
  }

  private static String read(Path path) throws IOException {
    byte[] content = new Folder(path.getParent()).read(path.getName());
    return content.length == 0 ? "none" : "ok\t" + Base64.getEncoder().encodeToString(content);
  }

  private static void put(File file, Path path) throws IOException {
    try (FSDataOutputStream out = path.getFileSystem().create(path, FileSystem.WriteMode.OVERWRITE)) {
      Files.copy(file.toPath(), out);
    }
  }

  private static String fetch(Path path, File file) throws IOException {
    try (FSDataInputStream in = path.getFileSystem().open(path)) {
      Files.copy(in, file.toPath(), StandardCopyOption.REPLACE_EXISTING);
      return "ok";
    } catch (FileNotFoundException e) {
      return "none";
    }
  }

  private static String list(Path path) throws IOException {
    StringBuilder text = new StringBuilder("ok");
    for (Map.Entry<String, FileStatus> found : new Folder(path).files().entrySet()) {
      text.append('\t').append(found.getKey());
      text.append('\t').append(found.getValue().getModificationTime());
    }
    return text.toString();
  }
}
