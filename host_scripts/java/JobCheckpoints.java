package flinkhost;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.Path;
import org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.KeeperException;

/**
 * The checkpoints that jobs of a living cluster have left: those of cancelled and failed jobs, which Flink retains.
 *
 * The age of a file does not say whether it is needed: one below `shared/` is part of each later checkpoint until
 * compaction replaces it, and a job that was restored with CLAIM has files in the folder of another job. So the folder of
 * a job goes only if the job is not in ZooKeeper, nothing was written into it for long, and nothing outside of it names
 * it: no checkpoint of a job in HA storage, no metadata of a retained checkpoint or a savepoint, no declared job that
 * has to continue from it.
 */
final class JobCheckpoints {
  private static final Pattern JOB = Pattern.compile("[0-9a-f]{32}");

  /**
   * With `checkpointEntropy` a job has a folder in each of many with a random name, besides the one with metadata, and
   * one in `_entropy_`, in which S3A marks folders that Flink makes.
   */
  private static final Pattern ENTROPY = Pattern.compile("[A-Za-z0-9_]{1,31}");

  private static final Pattern FILE = Pattern.compile("(chk-[0-9]+|shared|taskowned)/.+");
  private static final String METADATA = "_metadata";

  /** See host_tool/job_record.py. */
  private static final String RECORD = "record.json";

  private static final List<String> RUNNING = List.of("jobs", "execution-plans", "jobgraphs");

  private final PrintStream out;
  private final long quiet;
  private final Ensemble ensemble;
  private final String node;
  private final Folder ha;
  private final Folder checkpoints;
  private final Folder savepoints;
  private final Folder declared;

  JobCheckpoints(
      PrintStream out,
      long quiet,
      Ensemble ensemble,
      String node,
      Path ha,
      Path checkpoints,
      Path savepoints,
      Path storage)
      throws IOException {
    this.out = out;
    this.quiet = quiet;
    this.ensemble = ensemble;
    this.node = node;
    this.ha = new Folder(ha);
    this.checkpoints = new Folder(checkpoints);
    this.savepoints = new Folder(savepoints);
    this.declared = new Folder(new Path(storage, "jobs/" + ha.getName()));
    if (!checkpoints.getName().equals(ha.getName())) {
      throw new IOException(checkpoints + " may have checkpoints of other clusters: expected .../" + ha.getName());
    }
  }

  /** Prints `job ID COUNT BYTES SECONDS` for what nobody needs, and the reason for what stays. */
  void list() throws IOException, KeeperException, InterruptedException {
    Map<String, Set<String>> named = named();
    for (Map.Entry<String, List<Folder>> job : jobs().entrySet()) {
      String id = job.getKey();
      Map<String, FileStatus> files = files(job.getValue());
      if (isGarbage(id, files, named)) {
        long bytes = files.values().stream().mapToLong(FileStatus::getLen).sum();
        out.println(String.join("\t", "job", id, "" + files.size(), "" + bytes, "" + Leftovers.age(files)));
      }
    }
  }

  /** Looks again at everything: a job may have been restored since it was listed. */
  void delete(Set<String> ids) throws IOException, KeeperException, InterruptedException {
    Map<String, Set<String>> named = named();
    Map<String, List<Folder>> jobs = jobs();
    for (String id : ids) {
      List<Folder> folders = jobs.getOrDefault(id, List.of());
      if (JOB.matcher(id).matches() && isGarbage(id, files(folders), named)) {
        int count = 0;
        for (Folder folder : folders) {
          count += folder.remove();
        }
        out.println("removed\t" + checkpoints.path + "/" + id + "\t" + count);
      }
    }
  }

  /** The folders of each job. */
  private Map<String, List<Folder>> jobs() throws IOException {
    Map<String, List<Folder>> found = new TreeMap<>();
    for (String name : checkpoints.folders()) {
      Folder folder = new Folder(new Path(checkpoints.path, name));
      if (JOB.matcher(name).matches()) {
        found.computeIfAbsent(name, id -> new ArrayList<>()).add(folder);
      } else if (ENTROPY.matcher(name).matches()) {
        for (String id : folder.folders()) {
          if (JOB.matcher(id).matches()) {
            found.computeIfAbsent(id, one -> new ArrayList<>()).add(new Folder(new Path(folder.path, id)));
          }
        }
      }
    }
    return found;
  }

  /** All files below them, by their path in a folder of the job: names are unique. */
  private static Map<String, FileStatus> files(List<Folder> folders) throws IOException {
    Map<String, FileStatus> found = new TreeMap<>();
    for (Folder folder : folders) {
      found.putAll(folder.files());
    }
    return found;
  }

  private boolean isGarbage(String id, Map<String, FileStatus> files, Map<String, Set<String>> named)
      throws KeeperException, InterruptedException {
    for (String kind : RUNNING) {
      if (ensemble.children(node + "/" + kind).contains(id)) {
        out.println("runs\t" + id);
        return false;
      }
    }
    for (String name : files.keySet()) {
      if (!FILE.matcher(name).matches()) {
        out.println("foreign\t" + checkpoints.path + "/" + id + "/" + name);
        return false;
      }
    }
    long age = Leftovers.age(files);
    if (age >= 0 && age < quiet) {
      out.println("recent\t" + id + "\t" + age);
      return false;
    }
    Set<String> by = new TreeSet<>(named.getOrDefault(id, Set.of()));
    by.removeIf(name -> name.startsWith(checkpoints.path + "/" + id + "/"));
    if (!by.isEmpty()) {
      out.println("needed\t" + id + "\t" + by.iterator().next());
      return false;
    }
    return true;
  }

  /** Job ids in what describes checkpoints → the objects that have them. Paths of files are text in all formats. */
  private Map<String, Set<String>> named() throws IOException {
    Map<String, Set<String>> found = new TreeMap<>();
    for (Folder folder : List.of(ha, checkpoints, savepoints, declared)) {
      for (String name : folder.files().keySet()) {
        boolean describes =
            folder == ha
                ? name.startsWith("completedCheckpoint")
                : name.endsWith("/" + METADATA) || (folder == declared && name.endsWith("/" + RECORD));
        if (describes) {
          Matcher ids = JOB.matcher(new String(folder.read(name), StandardCharsets.ISO_8859_1));
          for (int at = 0; ids.find(at); at = ids.start() + 1) {
            found.computeIfAbsent(ids.group(), id -> new TreeSet<>()).add(folder.path + "/" + name);
          }
        }
      }
    }
    return found;
  }
}
