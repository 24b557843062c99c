package flinkhost;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
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
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.HighAvailabilityOptions;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** With a folder on this machine and a ZooKeeper server in this process. */
class LeftoversTest {
  private static final String JOB = "0123456789abcdef0123456789abcdef";

  @TempDir Path folder;

  private Path ha;
  private Server server;
  private Ensemble ensemble;
  private final ByteArrayOutputStream said = new ByteArrayOutputStream();
  private final Leftovers leftovers = new Leftovers(new PrintStream(said, true), 0);
  private final Leftovers careful = new Leftovers(new PrintStream(said, true), 3600);

  @BeforeEach
  void start() throws Exception {
    ha = folder.resolve("storage/ha");
    server = new Server(Files.createDirectory(folder.resolve("zookeeper")).toFile());
    ensemble = new Ensemble(server.quorum);
  }

  @AfterEach
  void stop() {
    ensemble.close();
    server.close();
  }

  private void write(String... names) throws IOException {
    for (String name : names) {
      Path path = ha.resolve(name);
      Files.createDirectories(path.getParent());
      Files.writeString(path, "12345");
    }
  }

  private void age(String name, int seconds) throws IOException {
    Files.setLastModifiedTime(ha.resolve(name), FileTime.from(Instant.now().minusSeconds(seconds)));
  }

  private static org.apache.flink.core.fs.Path flink(Path path) {
    return new org.apache.flink.core.fs.Path(path.toUri().toString().replaceAll("/$", ""));
  }

  private List<String> list(String... keep) throws Exception {
    said.reset();
    leftovers.list(flink(ha), ensemble, "/flink", Set.of(keep));
    return lines();
  }

  private List<String> delete(String id) throws Exception {
    said.reset();
    leftovers.delete(new Remains(flink(ha), ensemble, "/flink", id));
    return lines();
  }

  private List<String> lines() {
    return said.toString().lines().collect(Collectors.toList());
  }

  private List<String> left() throws IOException {
    try (Stream<Path> found = Files.walk(folder.resolve("storage"))) {
      return found
          .filter(Files::isRegularFile)
          .map(path -> ha.relativize(path).toString())
          .sorted()
          .collect(Collectors.toList());
    }
  }

  /** All that Flink 2.2 and 2.3 write for a cluster. */
  private void cluster(String id) throws Exception {
    write(
        id + "/completedCheckpoint0123456789ab",
        id + "/submittedExecutionPlan0123456789ab",
        id + "/blob/job_" + JOB + "/blob_p-0a-0b",
        "job-result-store/" + id + "/" + JOB + ".json",
        "application-result-store/" + id + "/" + JOB + "_DIRTY.json");
    server.make("/flink/" + id + "/jobs", "/flink/" + id + "/execution-plans", "/flink/" + id + "/leader/latch");
  }

  @Test
  void nothingIsThere() throws Exception {
    assertEquals(List.of(), list());
  }

  @Test
  void whatAClusterHasLeftIsCounted() throws Exception {
    cluster("old");
    List<String> found = list();
    assertEquals(2, found.size(), found.toString());
    assertTrue(found.get(0).matches("objects\told\t5\t25\t\\d+"), found.toString());
    assertEquals("znode\told\t/flink/old", found.get(1));
  }

  @Test
  void ofObjectsAloneOrOfANodeAloneThatIsTold() throws Exception {
    write("stored/completedCheckpoint0123456789ab");
    server.make("/flink/known/jobs");
    Files.createDirectories(ha.resolve("empty"));
    List<String> found = list();
    assertEquals(List.of("objects\tempty\t0\t0\t-1", "znode\tknown\t/flink/known"), found.subList(0, 2));
    assertTrue(found.get(2).startsWith("objects\tstored\t1\t5\t"), found.toString());
  }

  @Test
  void whatIsToBeKeptIsNotListed() throws Exception {
    cluster("dev");
    cluster("prod");
    assertEquals(List.of(), list("dev", "prod"));
    assertEquals(2, list("dev").size());
  }

  @Test
  void aClusterWithALivingJobManagerIsNeverGarbage() throws Exception {
    cluster("alive");
    server.makeLeader("/flink/alive");
    List<String> before = left();
    assertEquals(List.of("leader\talive"), list());
    assertEquals(List.of("leader\talive"), delete("alive"));
    assertEquals(before, left());
    assertTrue(ensemble.exists("/flink/alive/jobs"));
  }

  @Test
  void aClusterThatWroteLatelyMayLiveWithAnotherEnsemble() throws Exception {
    cluster("known");
    write("unknown/completedCheckpoint0123456789ab", "unknown/completedCheckpointba9876543210");
    age("unknown/completedCheckpoint0123456789ab", 7200);
    List<String> before = left();
    careful.list(flink(ha), ensemble, "/flink", Set.of());
    assertEquals(2, lines().size(), lines().toString());
    assertTrue(lines().get(0).matches("recent\tknown\t\\d+"), lines().toString());
    assertTrue(lines().get(1).matches("recent\tunknown\t\\d+"), lines().toString());
    for (String id : List.of("known", "unknown")) {
      said.reset();
      careful.delete(new Remains(flink(ha), ensemble, "/flink", id));
      assertTrue(lines().get(0).startsWith("recent\t" + id), lines().toString());
    }
    assertEquals(before, left());
    assertTrue(ensemble.exists("/flink/known/jobs"));
    age("unknown/completedCheckpointba9876543210", 3700);
    said.reset();
    careful.list(flink(ha), ensemble, "/flink", Set.of("known"));
    assertTrue(lines().get(0).matches("objects\tunknown\t2\t10\t37\\d\\d"), lines().toString());
  }

  @Test
  void aClusterThatRenewsItsMarkIsAlive() throws Exception {
    write("idle/completedCheckpoint0123456789ab");
    age("idle/completedCheckpoint0123456789ab", 900_000);
    Configuration configuration = new Configuration();
    configuration.set(HighAvailabilityOptions.HA_STORAGE_PATH, flink(ha).toString());
    configuration.set(HighAvailabilityOptions.HA_CLUSTER_ID, "idle");
    for (int times = 0; times < 2; times++) {
      Leftovers.mark(configuration);
    }
    said.reset();
    careful.list(flink(ha), ensemble, "/flink", Set.of());
    assertTrue(lines().get(0).startsWith("recent\tidle\t"), lines().toString());
    age("idle/alive", 900_000);
    delete("idle");
    assertFalse(Files.exists(ha.resolve("idle")), "the mark is no foreign object");
  }

  @Test
  void whatFlinkDidNotWriteIsNeverTouchedNorWhatIsBesideIt() throws Exception {
    cluster("mixed");
    write("mixed/holiday.jpg");
    server.make("/flink/other/config");
    List<String> before = left();
    List<String> foreign = list();
    assertEquals(2, foreign.size(), foreign.toString());
    assertTrue(foreign.get(0).matches("foreign\tfile:.*/ha/mixed/holiday.jpg"), foreign.toString());
    assertEquals("foreign\t/flink/other/config", foreign.get(1));
    assertEquals(foreign.subList(0, 1), delete("mixed"));
    assertEquals(foreign.subList(1, 2), delete("other"));
    assertEquals(before, left());
    assertTrue(ensemble.exists("/flink/mixed/jobs"));
  }

  @Test
  void namesThatOnlyLookAlikeAreForeign() throws Exception {
    for (String name :
        List.of(
            "completedCheckpoint0123",
            "completedCheckpoint0123456789abc",
            "blob/job_x/blob_p-0a-0b",
            "blob/no_job/blob_x-0-0",
            JOB + ".json")) {
      write("c/" + name);
      assertTrue(list().get(0).startsWith("foreign\t"), name);
      Files.delete(ha.resolve("c/" + name));
    }
    write("c/blob/no_job/blob_t-0a-0b", "c/blob/application_" + JOB + "/blob_p-0a-0b");
    write("job-result-store/c/" + JOB + ".json");
    assertTrue(list().get(0).startsWith("objects\tc\t3\t"));
    write("job-result-store/c/completedCheckpoint0123456789ab");
    assertTrue(list().get(0).startsWith("foreign\t"));
  }

  @Test
  void deleteRemovesAllOfOneClusterAndNothingElse() throws Exception {
    cluster("old");
    cluster("older");
    for (String id : List.of("old", "older")) {
      ensemble.claim(Claim.nodes("/flink", id) + "/job", "up");
      ensemble.release(Claim.nodes("/flink", id) + "/job");
    }
    List<String> done = delete("old");
    assertEquals(4, done.size(), done.toString());
    assertTrue(done.get(0).matches("removed\tfile:.*/ha/old\t3"), done.toString());
    assertEquals("removed\t/flink/old\t1", done.get(3));
    assertEquals(5, left().size());
    assertFalse(left().stream().anyMatch(name -> name.matches(".*\\bold\\b.*")), left().toString());
    assertFalse(ensemble.exists("/flink/old"));
    assertTrue(ensemble.exists("/flink/older/jobs"));
    assertFalse(ensemble.exists("/flink-jobs/old"));
    assertTrue(ensemble.exists("/flink-jobs/older"));
    for (String line : delete("old")) {
      assertTrue(line.matches("removed\t.*\t0"), "nothing is left to remove: " + line);
    }
  }

  @Test
  void purgeRemovesFoldersOfOursThatAreEmptyThen() throws Exception {
    write("dev/completedCheckpoint0123456789ab", "job-result-store/dev/" + JOB + ".json");
    Files.writeString(folder.resolve("storage/other"), "not ours");
    leftovers.purge(flink(ha.resolve("dev")));
    assertTrue(Files.exists(ha.resolve("job-result-store")));
    leftovers.purge(flink(ha.resolve("job-result-store/dev")));
    assertFalse(Files.exists(ha), "nothing is left below it");
    leftovers.purge(flink(ha.resolve("application-result-store/dev")));
    assertEquals(3, lines().size());
    assertTrue(lines().get(0).matches("removed\tfile:.*/ha/dev\t1"), lines().toString());
    assertTrue(lines().get(2).matches("removed\tfile:.*/ha/application-result-store/dev\t0"), lines().toString());
    assertTrue(Files.exists(folder.resolve("storage/other")));
  }

  @Test
  void purgeLeavesWhatFlinkDidNotWrite() throws Exception {
    // Another stack's storageUri may lead into the folder of this cluster
    write("dev/completedCheckpoint0123456789ab", "dev/ha/prod/completedCheckpoint0123456789ab", "dev-2/x");
    leftovers.purge(flink(ha.resolve("dev")));
    assertEquals(List.of("dev-2/x", "dev/ha/prod/completedCheckpoint0123456789ab"), left());
    assertTrue(lines().get(0).endsWith("/ha/dev\t1"), lines().toString());
  }

  @Test
  void purgeNeverRemovesAFolderOfAllClusters() throws Exception {
    write("job-result-store/dev/" + JOB + ".json");
    IOException error =
        assertThrows(IOException.class, () -> leftovers.purge(flink(ha.resolve("job-result-store"))));
    assertTrue(error.getMessage().contains("belongs to all clusters"), error.getMessage());
    assertEquals(1, left().size());
  }

  @Test
  void purgeLeavesTheParentsOfOthers() throws Exception {
    Files.createDirectories(folder.resolve("storage/checkpoints/dev/chk-1"));
    leftovers.purge(flink(folder.resolve("storage/checkpoints/dev")));
    assertTrue(Files.exists(folder.resolve("storage/checkpoints")));
  }

  @Test
  void aStorageThatCannotBeAskedIsAnError() {
    IOException error =
        assertThrows(IOException.class, () -> Folder.answers(new org.apache.flink.core.fs.Path("s9://bucket/ha"), 30));
    assertTrue(Flink.causes(error).contains("no access to s9://bucket/ha: "), Flink.causes(error));
  }

  private List<String> results(boolean remove, int quiet) throws Exception {
    said.reset();
    new Results(new PrintStream(said, true), quiet, ensemble, "/flink/c", flink(ha), "c").handle(remove);
    return lines();
  }

  @Test
  void aResultWithoutApplicationIsReportedAndRemoved() throws Exception {
    String other = JOB.replace('0', 'f');
    Path incomplete = ha.resolve("job-result-store/c/" + JOB + "_DIRTY.json");
    write("job-result-store/c/" + JOB + "_DIRTY.json");
    Files.writeString(incomplete, "{\"result\":{\"id\":\"x\"},\"version\":1}");
    write("job-result-store/c/" + other + "_DIRTY.json");
    Files.writeString(
        ha.resolve("job-result-store/c/" + other + "_DIRTY.json"), "{\"result\":{\"application-id\":\"y\"}}");
    write("job-result-store/c/" + other + ".json", "job-result-store/d/" + JOB + "_DIRTY.json");
    int before = left().size();
    assertEquals(List.of(), results(true, 3600), "it was just written: somebody may be about to remove it");
    List<String> found = results(false, 0);
    assertEquals(1, found.size(), found.toString());
    assertTrue(found.get(0).matches("incomplete\tfile:.*/job-result-store/c/" + JOB + "_DIRTY.json"), found.toString());
    assertEquals(before, left().size());

    server.make("/flink/c/execution-plans/" + JOB);
    assertTrue(results(true, 0).get(0).startsWith("stored\t"), "the job would start again");
    assertTrue(Files.exists(incomplete));
    ensemble.remove("/flink/c/execution-plans");
    assertTrue(results(true, 0).get(0).matches("removed\tfile:.*\t1"));
    assertFalse(Files.exists(incomplete));
    assertEquals(before - 1, left().size());
    assertEquals(List.of(), results(true, 0));
  }
}
