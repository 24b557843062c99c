/*
 * Jobs: has the release of Flink that it runs with read all jobs that an earlier one has written down for its failover, and
 * write them down as its own. Run by rollout.sh on a JobManager's host, while no JobManager runs.
 *
 * Flink 2.3 gives each job an application and does not start with a job that has none ("Application ID is missing in the
 * recovered execution plan"), as 2.2 has written it down. The job's id, checkpoints and jars stay where they are.
 */
import java.lang.reflect.Method;
import java.util.Optional;
import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.plugin.PluginUtils;
import org.apache.flink.runtime.highavailability.zookeeper.CuratorFrameworkWithUnhandledErrorListener;
import org.apache.flink.runtime.jobmanager.ExecutionPlanStore;
import org.apache.flink.runtime.util.ZooKeeperUtils;
import org.apache.flink.streaming.api.graph.ExecutionPlan;

/** Ends with 0 if every job can be read. */
public class Jobs {
  public static void main(String[] args) throws Exception {
    java.io.PrintStream out = System.out;
    System.setOut(System.err);
    Method setter = null;
    for (Method m : ExecutionPlan.class.getMethods()) {
      if (m.getName().equals("setApplicationId")) setter = m;
    }
    Configuration configuration = GlobalConfiguration.loadConfiguration("/etc/flink");
    FileSystem.initialize(configuration, PluginUtils.createPluginManagerFromRootFolder(configuration));
    try (CuratorFrameworkWithUnhandledErrorListener client =
        ZooKeeperUtils.startCuratorFramework(configuration, error -> { error.printStackTrace(); System.exit(1); })) {
      ExecutionPlanStore store = ZooKeeperUtils.createExecutionPlans(client.asCuratorFramework(), configuration);
      store.start(new ExecutionPlanStore.ExecutionPlanListener() {
        public void onAddedExecutionPlan(JobID id) {}
        public void onRemovedExecutionPlan(JobID id) {}
      });
      try {
        for (JobID id : store.getJobIds()) {
          ExecutionPlan plan = store.recoverExecutionPlan(id);
          if (setter == null) { out.println("read\t" + id + "\t" + plan.getName()); continue; }
          Optional<?> known = (Optional<?>) ExecutionPlan.class.getMethod("getApplicationId").invoke(plan);
          if (known.isPresent()) { out.println("has\t" + id + "\t" + known.get()); continue; }
          Object application = setter.getParameterTypes()[0].getMethod("fromHexString", String.class).invoke(null, id.toHexString());
          setter.invoke(plan, application);
          store.putExecutionPlan(plan);
          out.println("adopted\t" + id + "\t" + plan.getName());
        }
      } finally { store.stop(); }
    }
    System.exit(0);
  }
}
