package flinkhost;

import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.blob.BlobKey;
import org.apache.flink.runtime.blob.BlobStoreService;
import org.apache.flink.runtime.blob.BlobUtils;
import org.apache.flink.streaming.api.graph.ExecutionPlan;

/** The jars of jobs, as the JobManagers store them for high availability. */
final class JobJars {
  private final Configuration configuration;

  JobJars(Configuration configuration) {
    this.configuration = configuration;
  }

  /** A class loader for a job: its jars, which this removes when it is closed, and Flink's. */
  URLClassLoader of(ExecutionPlan plan) throws IOException {
    List<URL> urls = new ArrayList<>(plan.getClasspaths());
    List<Path> copies = new ArrayList<>();
    try {
      BlobStoreService blobs = BlobUtils.createBlobStoreFromConfig(configuration);
      for (BlobKey key : plan.getUserJarBlobKeys()) {
        Path copy = Files.createTempFile("job", ".jar");
        copies.add(copy);
        if (!blobs.get(plan.getJobID(), key, copy.toFile())) {
          throw new IOException("its jar " + key + " is not in the HA storage");
        }
        urls.add(copy.toUri().toURL());
      }
    } catch (IOException | RuntimeException e) {
      remove(copies);
      throw e;
    }
    return new URLClassLoader(urls.toArray(new URL[0]), JobJars.class.getClassLoader()) {
      @Override
      public void close() throws IOException {
        super.close();
        remove(copies);
      }
    };
  }

  private static void remove(List<Path> copies) throws IOException {
    for (Path copy : copies) {
      Files.deleteIfExists(copy);
    }
  }
}
