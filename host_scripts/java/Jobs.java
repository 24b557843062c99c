import java.io.File;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.plugin.PluginUtils;
import org.apache.flink.runtime.blob.BlobKey;
import org.apache.flink.runtime.blob.BlobStoreService;
import org.apache.flink.runtime.blob.BlobUtils;
import org.apache.flink.runtime.highavailability.zookeeper.CuratorFrameworkWithUnhandledErrorListener;
import org.apache.flink.runtime.jobmanager.ExecutionPlanStore;
import org.apache.flink.runtime.util.ZooKeeperUtils;
import org.apache.flink.streaming.api.graph.ExecutionPlan;
import org.apache.flink.streaming.api.graph.StreamGraph;
import org.apache.flink.streaming.api.graph.StreamNode;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.SimpleOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorFactory;

/**
 * Has the release of Flink that it runs with read all jobs that an earlier one has written down for its failover, and
 * write them down as its own. Run by rollout.sh on a JobManager's host, while no JobManager runs: a single file that the
 * JDK compiles when it runs it, from 11 on. The jobs' ids, checkpoints and jars stay where they are.
 *
 * <p>What 2.2 has written down 2.3 reads, and then ends with it (a job without an application: "Application ID is missing
 * in the recovered execution plan") or fails each task (an operator without `outputAdjustment`: NullPointerException in
 * AbstractStreamOperator.setup). Of what Java serialises for a job nothing else differs that matters: docs/changes.md.
 * What 2.3 has written down 2.2 reads as it is.
 *
 * <p>A line for each job on stdout, fields separated by tabs: `same ID NAME`, `carried ID NAME`, `refused ID NAME WHY`. If
 * one is refused none is changed, and the exit code is 3. Everything else goes to stderr. With the argument `check` it only
 * tells, of jobs that may be running.
 */
public class Jobs {
  private static final String CONFIGURATION = "/etc/flink";

  private final Configuration configuration;
  private final PrintStream out;
  private final boolean checkOnly;

  private Jobs(Configuration configuration, PrintStream out, boolean checkOnly) {
    this.configuration = configuration;
    this.out = out;
    this.checkOnly = checkOnly;
  }

  public static void main(String[] args) throws Exception {
    PrintStream out = System.out;
    System.setOut(System.err); // log4j's default
    Configuration configuration = GlobalConfiguration.loadConfiguration(CONFIGURATION);
    FileSystem.initialize(configuration, PluginUtils.createPluginManagerFromRootFolder(configuration));
    boolean checkOnly = args.length > 0 && args[0].equals("check");
    System.exit(new Jobs(configuration, out, checkOnly).run() ? 0 : 3); // the S3 client's threads need not be waited for
  }

  private boolean run() throws Exception {
    try (CuratorFrameworkWithUnhandledErrorListener client =
        ZooKeeperUtils.startCuratorFramework(configuration, Jobs::fatal)) {
      ExecutionPlanStore store = ZooKeeperUtils.createExecutionPlans(client.asCuratorFramework(), configuration);
      store.start(new Listener());
      try {
        return carry(store);
      } finally {
        store.stop(); // gives the locks on the plans back
      }
    }
  }

  private boolean carry(ExecutionPlanStore store) throws Exception {
    List<ExecutionPlan> carried = new ArrayList<>();
    boolean good = true;
    for (JobID id : store.getJobIds()) {
      ExecutionPlan plan = store.recoverExecutionPlan(id);
      if (plan == null) {
        continue; // it has ended meanwhile
      }
      String name = id + "\t" + plan.getName();
      try {
        if (change(plan)) {
          carried.add(plan);
        } else {
          out.println("same\t" + name);
        }
      } catch (Exception | LinkageError e) {
        good = false;
        out.println("refused\t" + name + "\t" + why(e));
      }
    }
    for (ExecutionPlan plan : carried) {
      if (good && !checkOnly) {
        store.putExecutionPlan(plan);
        out.println("carried\t" + plan.getJobID() + "\t" + plan.getName());
      }
    }
    return good;
  }

  /** What failed, and what was behind it, in one line. */
  private static String why(Throwable e) {
    Throwable root = e;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    return (root == e ? e.toString() : e + ", since " + root).replaceAll("\\s+", " ");
  }

  /** Whether the plan had to be changed for this Flink. */
  private boolean change(ExecutionPlan plan) throws Exception {
    Optional<?> application = applicationId(plan);
    if (application == null || application.isPresent()) {
      return false;
    }
    if (!(plan instanceof StreamGraph)) {
      throw new IOException("its plan is a " + plan.getClass().getSimpleName() + ", which cannot be opened");
    }
    StreamGraph graph = (StreamGraph) plan;
    try (URLClassLoader jars = jars(plan)) {
      graph.deserializeUserDefinedInstances(jars, Runnable::run);
      for (StreamNode node : graph.getStreamNodes()) {
        complete(node.getOperatorFactory());
      }
      graph.serializeUserDefinedInstances();
    }
    // A job by itself is an application with the same id (WebSubmissionExecutor, SingleJobApplication)
    Method setter = method(plan, "setApplicationId");
    Class<?> type = setter.getParameterTypes()[0];
    setter.invoke(plan, type.getMethod("fromHexString", String.class).invoke(null, plan.getJobID().toHexString()));
    return true;
  }

  /** Of Flink before 2.3, null. */
  private static Optional<?> applicationId(ExecutionPlan plan) throws ReflectiveOperationException {
    Method getter = method(plan, "getApplicationId");
    return getter == null ? null : (Optional<?>) getter.invoke(plan);
  }

  private static Method method(ExecutionPlan plan, String name) {
    for (Method method : plan.getClass().getMethods()) {
      if (method.getName().equals(name)) {
        return method;
      }
    }
    return null;
  }

  /** What 2.3 sets in an operator's constructor, which does not run for one that was serialised. */
  private static void complete(StreamOperatorFactory<?> factory) throws ReflectiveOperationException {
    if (!(factory instanceof SimpleOperatorFactory)) {
      return;
    }
    StreamOperator<?> operator = ((SimpleOperatorFactory<?>) factory).getOperator();
    if (operator instanceof AbstractStreamOperator) {
      Field field = AbstractStreamOperator.class.getDeclaredField("outputAdjustment");
      field.setAccessible(true);
      if (field.get(operator) == null) {
        field.set(operator, field.getType().getMethod("noAdjustment").invoke(null));
      }
    }
  }

  /** The classes of the job: its jars from the HA storage, and Flink's. */
  private URLClassLoader jars(ExecutionPlan plan) throws IOException {
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
    return new URLClassLoader(urls.toArray(new URL[0]), Jobs.class.getClassLoader());
  }

  private static void fatal(Throwable error) {
    System.err.println("ZooKeeper: " + error);
    System.exit(1);
  }

  /** Nobody here follows what other processes do. */
  private static class Listener implements ExecutionPlanStore.ExecutionPlanListener {
    @Override
    public void onAddedExecutionPlan(JobID id) {}

    @Override
    public void onRemovedExecutionPlan(JobID id) {}
  }
}
