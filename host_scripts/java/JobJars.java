package flinkhost;

import java.io.File;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
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

  /** A class loader for a job: its jars, and Flink's. */
  URLClassLoader of(ExecutionPlan plan) throws IOException {
    List<URL> urls = new ArrayList<>(plan.getClasspaths());
    BlobStoreService blobs = BlobUtils.createBlobStoreFromConfig(configuration);
    for (BlobKey key : plan.getUserJarBlobKeys()) {
      File file = Files.createTempFile("job", ".jar").toFile();
      file.deleteOnExit();
      if (!blobs.get(plan.getJobID(), key, file)) {
        throw new IOException("its jar " + key + " is not in the HA storage");
      }
      urls.add(file.toURI().toURL());
    }
    return new URLClassLoader(urls.toArray(new URL[0]), JobJars.class.getClassLoader());
  }
}
