package flinkhost;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.highavailability.zookeeper.CuratorFrameworkWithUnhandledErrorListener;
import org.apache.flink.runtime.jobmanager.ExecutionPlanStore;
import org.apache.flink.runtime.util.ZooKeeperUtils;
import org.apache.flink.streaming.api.graph.ExecutionPlan;

/**
 * Hands jobs over to the release of Flink that it runs with: reads all jobs that an earlier release stored for its
 * failover, and stores them in the format of this one. The rollout runs it on a JobManager's host. The jobs' ids,
 * checkpoints and jars stay where they are.
 *
 * <p>It does what it reads on stdin, until that ends: `check` only reports, and the jobs may be running; with `carry` no
 * JobManager may run. So the JVM starts while the jobs still run. It prints a line for each job, fields separated by
 * tabs: `same ID NAME`, `carried ID NAME`, `refused ID NAME WHY`, and then `end`, or `failed`. If a job is refused, none
 * is changed. Everything else goes to stderr.
 */
public final class HandOver {
  private final PrintStream out;
  private final JobJars jars;

  HandOver(PrintStream out, JobJars jars) {
    this.out = out;
    this.jars = jars;
  }

  public static void main(String[] args) {
    PrintStream out = Flink.output();
    try {
      serve(out, Flink.start());
      System.exit(0); // does not wait for the S3 client's threads
    } catch (Throwable e) {
      e.printStackTrace();
      System.exit(1);
    }
  }

  private static void serve(PrintStream out, Configuration configuration) throws Exception {
    HandOver handOver = new HandOver(out, new JobJars(configuration));
    try (CuratorFrameworkWithUnhandledErrorListener client =
        ZooKeeperUtils.startCuratorFramework(configuration, HandOver::fatal)) {
      BufferedReader asked = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
      for (String word = asked.readLine(); word != null; word = asked.readLine()) {
        handOver.answer(
            () -> ZooKeeperUtils.createExecutionPlans(client.asCuratorFramework(), configuration),
            word.equals("check"));
      }
    }
  }

  /** Answers a question, whatever happens. */
  void answer(Callable<ExecutionPlanStore> stores, boolean checkOnly) {
    String last = "end";
    try {
      ExecutionPlanStore store = stores.call();
      store.start(new Deaf());
      try {
        handOver(store, checkOnly);
      } finally {
        store.stop(); // releases the locks on the plans, with which a JobManager could not remove them
      }
    } catch (Exception | LinkageError | OutOfMemoryError e) {
      e.printStackTrace();
      last = "failed";
    }
    out.println(last);
    out.flush();
  }

  /** Hands over all jobs, or only says whether that is possible; none if one is refused. */
  void handOver(ExecutionPlanStore store, boolean checkOnly) throws Exception {
    List<ExecutionPlan> carried = new ArrayList<>();
    boolean good = true;
    for (JobID id : store.getJobIds()) {
      ExecutionPlan plan = store.recoverExecutionPlan(id);
      if (plan == null) {
        continue; // it has ended in the meantime
      }
      String name = id + "\t" + oneLine(plan.getName());
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
        out.println("carried\t" + plan.getJobID() + "\t" + oneLine(plan.getName()));
      }
    }
  }

  /** Changes the plan for this release of Flink; false if that was not necessary. */
  private boolean change(ExecutionPlan plan) throws Exception {
    JobPlan job = new JobPlan(plan);
    if (job.fits()) {
      return false;
    }
    try (URLClassLoader loader = jars.of(plan)) {
      job.change(loader);
    }
    return true;
  }

  /** The error and its root cause, in one line. */
  static String why(Throwable e) {
    Throwable root = e;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    return oneLine(root == e ? e.toString() : e + ", caused by " + root);
  }

  private static String oneLine(String text) {
    return String.valueOf(text).replaceAll("\\s+", " ");
  }

  private static void fatal(Throwable error) {
    System.err.println("ZooKeeper: " + error);
    System.exit(1);
  }

  /** Ignores what other processes do. */
  private static final class Deaf implements ExecutionPlanStore.ExecutionPlanListener {
    @Override
    public void onAddedExecutionPlan(JobID id) {}

    @Override
    public void onRemovedExecutionPlan(JobID id) {}
  }
}
