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
 * Converts a job that a JobManager stored for its failover to the release of Flink that this runs with.
 *
 * <p>2.3 reads a job that 2.2 stored, but then its JobManager exits (a job without an application: "Application ID is
 * missing in the recovered execution plan") or each task fails (an operator without `outputAdjustment`:
 * NullPointerException in AbstractStreamOperator.setup). No other difference in the serialised job matters:
 * docs/changes.md. 2.2 reads a job that 2.3 stored without a conversion.
 */
final class JobPlan {
  private final ExecutionPlan plan;

  JobPlan(ExecutionPlan plan) {
    this.plan = plan;
  }

  /** Whether this release of Flink can run it as it is. */
  boolean fits() throws ReflectiveOperationException {
    Optional<?> application = applicationId();
    return application == null || application.isPresent();
  }

  /** Converts it to this release of Flink, with the classes of the job. */
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
    // A single job is an application with the same id (WebSubmissionExecutor, SingleJobApplication)
    Method setter = method("setApplicationId");
    Class<?> type = setter.getParameterTypes()[0];
    setter.invoke(plan, type.getMethod("fromHexString", String.class).invoke(null, plan.getJobID().toHexString()));
  }

  /** Null with Flink before 2.3. */
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

  /** Sets what 2.3 sets in an operator's constructor, which does not run for a deserialised operator. */
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
