package flinkhost;

import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.net.URLClassLoader;
import java.util.Optional;
import org.apache.flink.streaming.api.graph.ExecutionPlan;
import org.apache.flink.streaming.api.graph.StreamGraph;
import org.apache.flink.streaming.api.graph.StreamNode;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.SimpleOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorFactory;

/**
 * A job as a JobManager has written it down for its failover, made one of the Flink that this runs with.
 *
 * <p>What 2.2 has written down 2.3 reads, and then ends with it (a job without an application: "Application ID is
 * missing in the recovered execution plan") or fails each task (an operator without `outputAdjustment`: NullPointerException in
 * AbstractStreamOperator.setup). Of what Java serialises for a job nothing else differs that matters: docs/changes.md.
 * What 2.3 has written down 2.2 reads as it is.
 */
final class JobPlan {
  private final ExecutionPlan plan;

  JobPlan(ExecutionPlan plan) {
    this.plan = plan;
  }

  /** Whether this Flink can run it as it is. */
  boolean fits() throws ReflectiveOperationException {
    Optional<?> application = applicationId();
    return application == null || application.isPresent();
  }

  /** Changes it for this Flink, with the classes of the job. */
  void change(URLClassLoader jars) throws Exception {
    if (!(plan instanceof StreamGraph)) {
      throw new IOException("its plan is a " + plan.getClass().getSimpleName() + ", which cannot be opened");
    }
    StreamGraph graph = (StreamGraph) plan;
    graph.deserializeUserDefinedInstances(jars, Runnable::run);
    for (StreamNode node : graph.getStreamNodes()) {
      complete(node.getOperatorFactory());
    }
    graph.serializeUserDefinedInstances();
    // A job by itself is an application with the same id (WebSubmissionExecutor, SingleJobApplication)
    Method setter = method("setApplicationId");
    Class<?> type = setter.getParameterTypes()[0];
    setter.invoke(plan, type.getMethod("fromHexString", String.class).invoke(null, plan.getJobID().toHexString()));
  }

  /** Of Flink before 2.3, null. */
  private Optional<?> applicationId() throws ReflectiveOperationException {
    Method getter = method("getApplicationId");
    return getter == null ? null : (Optional<?>) getter.invoke(plan);
  }

  private Method method(String name) {
    for (Method method : plan.getClass().getMethods()) {
      if (method.getName().equals(name)) {
        return method;
      }
    }
    return null;
  }

  /** What 2.3 sets in an operator's constructor, which does not run for one that was serialised. */
  static void complete(StreamOperatorFactory<?> factory) throws ReflectiveOperationException {
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
}
