package flinkhost;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** With a folder on this machine and a ZooKeeper server in this process. */
class JobCheckpointsTest {
  private static final String OLD = "0123456789abcdef0123456789abcdef";
  private static final String OTHER = "fedcba9876543210fedcba9876543210";

  @TempDir Path folder;

  private Server server;
  private Ensemble ensemble;
  private final ByteArrayOutputStream said = new ByteArrayOutputStream();

  @BeforeEach
  void start() throws Exception {
    server = new Server(Files.createDirectory(folder.resolve("zookeeper")).toFile());
    ensemble = new Ensemble(server.quorum);
    write("checkpoints/dev/" + OLD + "/chk-7/_metadata", "own");
    write("checkpoints/dev/" + OLD + "/shared/one", "state of " + OLD);
  }

  @AfterEach
  void stop() {
    ensemble.close();
    server.close();
  }

  private void write(String name, String text) throws IOException {
    Path path = folder.resolve(name);
    Files.createDirectories(path.getParent());
    Files.writeString(path, text);
    Files.setLastModifiedTime(path, FileTime.from(Instant.now().minusSeconds(7200)));
  }

  private org.apache.flink.core.fs.Path flink(String name) {
    return new org.apache.flink.core.fs.Path(folder.resolve(name).toUri().toString().replaceAll("/$", ""));
  }

  private JobCheckpoints found() throws IOException {
    said.reset();
    return new JobCheckpoints(
        new PrintStream(said, true),
        3600,
        ensemble,
        "/flink/dev",
        flink("ha/dev"),
        flink("checkpoints/dev"),
        flink("savepoints/dev"),
        flink(""));
  }

  private String list() throws Exception {
    found().list();
    return said.toString().lines().map(line -> line.split("\t")[0]).collect(Collectors.joining(" "));
  }

  private List<String> left() throws IOException {
    try (Stream<Path> files = Files.walk(folder.resolve("checkpoints"))) {
      return files.filter(Files::isRegularFile).map(Path::toString).collect(Collectors.toList());
    }
  }

  /** Neither the list has it, nor is it deleted by its id. */
  private void stays(String why) throws Exception {
    List<String> before = left();
    assertEquals(why, list());
    found().delete(Set.of(OLD));
    assertEquals(before, left());
  }

  @Test
  void whatNothingNeedsIsListedAndDeleted() throws Exception {
    assertEquals("job", list());
    found().delete(Set.of(OLD));
    assertEquals(List.of(), left());
    assertEquals("", list());
  }

  @Test
  void aJobInZooKeeperKeepsItsOwn() throws Exception {
    server.make("/flink/dev/jobs/" + OLD);
    stays("runs");
  }

  @Test
  void aJobThatHasNoCheckpointYetKeepsItsOwn() throws Exception {
    server.make("/flink/dev/execution-plans/" + OLD);
    stays("runs");
  }

  @Test
  void whatARunningJobClaimedStaysHoweverOldItIs() throws Exception {
    write("ha/dev/completedCheckpoint0123456789ab", "\0\1s3://b/checkpoints/dev/" + OLD + "/shared/one\0");
    stays("needed");
  }

  @Test
  void whatARetainedCheckpointOfAnotherJobNamesStays() throws Exception {
    write("checkpoints/dev/" + OTHER + "/chk-9/_metadata", "s3://b/checkpoints/dev/" + OLD + "/shared/one");
    assertEquals("needed job", list());
    // And goes with that job
    found().delete(Set.of(OTHER));
    assertEquals("job", list());
  }

  @Test
  void whatASavepointNamesStays() throws Exception {
    write("savepoints/dev/savepoint-1/_metadata", "s3://b/checkpoints/dev/" + OLD + "/shared/one");
    stays("needed");
  }

  @Test
  void whatADeclaredJobContinuesFromStays() throws Exception {
    write("jobs/dev/counts/record.json", "{\"ids\": [\"" + OLD + "\"]}");
    stays("needed");
  }

  @Test
  void whatWasWrittenLatelyStays() throws Exception {
    Files.writeString(folder.resolve("checkpoints/dev/" + OLD + "/shared/two"), "new");
    stays("recent");
  }

  @Test
  void whatIsNotFlinksStaysWithAllBesideIt() throws Exception {
    write("checkpoints/dev/" + OLD + "/notes.txt", "mine");
    stays("foreign");
  }

  @Test
  void otherFoldersAndOtherClustersAreNotLookedAt() throws Exception {
    write("checkpoints/dev/notes/chk-1/_metadata", "x");
    write("checkpoints/prod/" + OTHER + "/chk-1/_metadata", "x");
    assertEquals("job", list());
    found().delete(Set.of("notes", "../prod/" + OTHER));
    assertEquals(4, left().size());
  }

  /** As with `checkpointEntropy`: data below random names, metadata without. */
  @Test
  void dataBelowRandomNamesGoesWithItsJobAndNotWithAnother() throws Exception {
    write("checkpoints/dev/a1B2/" + OLD + "/shared/two", "state");
    write("checkpoints/dev/zZ09/" + OLD + "/chk-7/three", "state");
    write("checkpoints/dev/a1B2/" + OTHER + "/shared/four", "state");
    write("checkpoints/dev/" + OTHER + "/chk-1/_metadata", "x");
    server.make("/flink/dev/jobs/" + OTHER);
    assertEquals("job runs", list());
    assertTrue(said.toString().contains("job\t" + OLD + "\t4\t"), said.toString());
    found().delete(Set.of(OLD, OTHER));
    assertEquals(2, left().size(), left().toString());
    assertTrue(left().stream().allMatch(name -> name.contains(OTHER)), left().toString());
  }

  @Test
  void dataBelowRandomNamesKeepsItsJobIfItIsNew() throws Exception {
    write("checkpoints/dev/a1B2/" + OLD + "/shared/two", "state");
    Files.writeString(folder.resolve("checkpoints/dev/a1B2/" + OLD + "/shared/two"), "new");
    stays("recent");
  }

  @Test
  void aFolderOfSeveralClustersIsRefused() throws Exception {
    assertThrows(
        IOException.class,
        () ->
            new JobCheckpoints(
                System.out,
                0,
                ensemble,
                "/flink/dev",
                flink("ha/dev"),
                flink("checkpoints"),
                flink("savepoints"),
                flink("")));
  }
}
