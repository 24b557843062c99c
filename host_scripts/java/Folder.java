package flinkhost;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.local.LocalFileSystem;

/** A folder on any storage that Flink has a file system for. In an object store it exists if any object is below it. */
final class Folder {
  final Path path;
  private final FileSystem system;

  Folder(Path path) throws IOException {
    this.path = path;
    this.system = path.getFileSystem();
  }

  /** Fails unless the storage answers in time whether the folder exists: file systems retry for many minutes. */
  static void answers(Path path, int seconds) throws IOException, InterruptedException {
    ExecutorService thread =
        Executors.newSingleThreadExecutor(
            task -> {
              Thread made = new Thread(task);
              made.setDaemon(true);
              return made;
            });
    Future<Boolean> asked = thread.submit(() -> new Folder(path).exists());
    try {
      asked.get(seconds, TimeUnit.SECONDS);
    } catch (TimeoutException e) {
      throw new IOException("no answer from the storage at " + path + " within " + seconds + " s");
    } catch (ExecutionException e) {
      throw new IOException("no access to " + path, e.getCause());
    } finally {
      thread.shutdownNow();
    }
  }

  boolean exists() throws IOException {
    return system.exists(path) || statuses(path).length > 0;
  }

  boolean isEmpty() throws IOException {
    return statuses(path).length == 0;
  }

  /** All files below it, by their relative path. */
  Map<String, FileStatus> files() throws IOException {
    Map<String, FileStatus> found = new TreeMap<>();
    collect(path, "", found);
    return found;
  }

  private void collect(Path folder, String prefix, Map<String, FileStatus> found) throws IOException {
    for (FileStatus status : statuses(folder)) {
      String name = prefix + status.getPath().getName();
      if (status.isDir()) {
        collect(status.getPath(), name + "/", found);
      } else {
        found.put(name, status);
      }
    }
  }

  /** Names of the folders in it. */
  List<String> folders() throws IOException {
    List<String> names = new ArrayList<>();
    for (FileStatus status : statuses(path)) {
      if (status.isDir()) {
        names.add(status.getPath().getName());
      }
    }
    return names;
  }

  /** Removes it with everything below it, and returns the number of files. Fails if some still exist. */
  int remove() throws IOException {
    int count = files().size();
    if (exists()) {
      system.delete(path, true);
      Map<String, FileStatus> left = files();
      if (!left.isEmpty()) {
        String one = left.keySet().iterator().next();
        throw new IOException(left.size() + " objects still exist below " + path + ", such as " + one);
      }
    }
    return count;
  }

  /** Removes the files below it one by one, except for these; returns the number of removed files. */
  int removeAllBut(List<String> kept) throws IOException {
    int count = 0;
    for (String name : files().keySet()) {
      if (!kept.contains(name)) {
        system.delete(new Path(path, name), false);
        count++;
      }
    }
    return count;
  }

  /** The contents of a file in it; nothing if it was deleted meanwhile. */
  byte[] read(String name) throws IOException {
    try (FSDataInputStream in = system.open(new Path(path, name))) {
      return in.readAllBytes();
    } catch (FileNotFoundException e) {
      return new byte[0];
    }
  }

  /** Writes a file in it, or replaces it. */
  void write(String name, byte[] content) throws IOException {
    try (FSDataOutputStream out = system.create(new Path(path, name), FileSystem.WriteMode.OVERWRITE)) {
      out.write(content);
    }
  }

  /**
   * The same, for a file that other hosts read at any time. In a folder of hosts they would see one that is empty, or
   * half of it: there it is written under another name. Other file systems show files when they are closed.
   */
  void writeAtOnce(String name, byte[] content) throws IOException {
    if (!(system instanceof LocalFileSystem)) {
      write(name, content);
      return;
    }
    String draft = "." + name + "." + UUID.randomUUID();
    write(draft, content);
    if (!system.rename(new Path(path, draft), new Path(path, name))) { // replaces it
      throw new IOException("cannot rename " + draft + " to " + name + " in " + path);
    }
  }

  void removeEmpty() throws IOException {
    system.delete(path, false);
  }

  private FileStatus[] statuses(Path folder) throws IOException {
    try {
      FileStatus[] found = system.listStatus(folder);
      return found == null ? new FileStatus[0] : found;
    } catch (FileNotFoundException e) {
      return new FileStatus[0];
    }
  }
}
