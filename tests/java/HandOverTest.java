package flinkhost;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.jobmanager.ExecutionPlanStore;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.graph.ExecutionPlan;
import org.apache.flink.streaming.api.graph.StreamGraph;
import org.apache.flink.streaming.api.graph.StreamNode;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.SimpleOperatorFactory;
import org.junit.jupiter.api.Test;

/** With jobs that Flink creates, and a store in memory. */
class HandOverTest {
  private final Map<JobID, ExecutionPlan> plans = new LinkedHashMap<>();
  private final List<JobID> written = new ArrayList<>();
  private final List<String> calls = new ArrayList<>();
  private final ByteArrayOutputStream said = new ByteArrayOutputStream();

  /** Replaces the JobManagers' store in ZooKeeper. */
  private ExecutionPlanStore store() {
    return (ExecutionPlanStore)
        Proxy.newProxyInstance(
            getClass().getClassLoader(),
            new Class<?>[] {ExecutionPlanStore.class},
            (proxy, method, arguments) -> {
              switch (method.getName()) {
                case "getJobIds":
                  return (Collection<JobID>) new ArrayList<>(plans.keySet());
                case "recoverExecutionPlan":
                  return plans.get(arguments[0]);
                case "start":
                case "stop":
                  calls.add(method.getName());
                  return null;
                case "putExecutionPlan":
                  written.add(((ExecutionPlan) arguments[0]).getJobID());
                  return null;
                default:
                  throw new AssertionError(method);
              }
            });
  }

  private void handOver(boolean checkOnly) throws Exception {
    said.reset();
    JobJars jars = new JobJars(new Configuration());
    new HandOver(new PrintStream(said, true), jars).handOver(store(), checkOnly);
  }

  private List<String> lines() {
    return said.toString().lines().collect(Collectors.toList());
  }

  private <P extends ExecutionPlan> P add(P plan) {
    plans.put(plan.getJobID(), plan);
    return plan;
  }

  /** A job as a JobManager of 2.2 stores it: no application, and operators without one field. */
  private static StreamGraph earlier(String name) throws Exception {
    StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment();
    environment.fromData(1, 2).map(new Doubling()).sinkTo(new DiscardingSink<>());
    StreamGraph graph = environment.getStreamGraph();
    graph.setJobName(name);
    graph.setJobId(new JobID());
    for (AbstractStreamOperator<?> operator : operators(graph)) {
      adjustment().set(operator, null);
    }
    graph.serializeUserDefinedInstances();
    return graph;
  }

  /** Not a lambda, which cannot be deserialised without a method of its class. */
  private static class Doubling implements org.apache.flink.api.common.functions.MapFunction<Integer, Integer> {
    private static final long serialVersionUID = 1;

    @Override
    public Integer map(Integer value) {
      return 2 * value;
    }
  }

  private static List<AbstractStreamOperator<?>> operators(StreamGraph graph) {
    List<AbstractStreamOperator<?>> found = new ArrayList<>();
    for (StreamNode node : graph.getStreamNodes()) {
      if (node.getOperatorFactory() instanceof SimpleOperatorFactory) {
        Object operator = ((SimpleOperatorFactory<?>) node.getOperatorFactory()).getOperator();
        if (operator instanceof AbstractStreamOperator) {
          found.add((AbstractStreamOperator<?>) operator);
        }
      }
    }
    return found;
  }

  private static Field adjustment() throws NoSuchFieldException {
    Field field = AbstractStreamOperator.class.getDeclaredField("outputAdjustment");
    field.setAccessible(true);
    return field;
  }

  @Test
  void aJobOfAnEarlierReleaseIsCompletedAndWrittenDown() throws Exception {
    StreamGraph graph = add(earlier("counts"));
    handOver(false);
    assertEquals(List.of("carried\t" + graph.getJobID() + "\tcounts"), lines());
    assertEquals(List.of(graph.getJobID()), written);
    assertEquals(graph.getJobID().toHexString(), graph.getApplicationId().get().toHexString());
    graph.deserializeUserDefinedInstances(getClass().getClassLoader(), Runnable::run);
    assertFalse(operators(graph).isEmpty());
    for (AbstractStreamOperator<?> operator : operators(graph)) {
      assertNotNull(adjustment().get(operator));
    }
  }

  @Test
  void oneThatWasCarriedOverStaysTheSame() throws Exception {
    StreamGraph graph = add(earlier("counts"));
    handOver(false);
    handOver(false);
    assertEquals(List.of("same\t" + graph.getJobID() + "\tcounts"), lines());
    assertEquals(1, written.size());
  }

  @Test
  void checkChangesNothingOnTheStorage() throws Exception {
    add(earlier("counts"));
    handOver(true);
    assertEquals(List.of(), lines());
    assertEquals(List.of(), written);
  }

  @Test
  void ifOneIsRefusedNoneIsWrittenDown() throws Exception {
    add(earlier("counts"));
    JobGraph refused = add(new JobGraph("opaque"));
    handOver(false);
    String why = "java.io.IOException: its plan is a JobGraph, which cannot be opened";
    assertEquals(List.of("refused\t" + refused.getJobID() + "\topaque\t" + why), lines());
    assertEquals(List.of(), written);
  }

  @Test
  void everyQuestionHasAnAnswerAndLeavesNoLock() {
    HandOver handOver = new HandOver(new PrintStream(said), new JobJars(new Configuration()));
    add(new JobGraph("a\tname\nend"));
    handOver.answer(this::store, true);
    plans.put(new JobID(), null);
    handOver.answer(() -> { throw new IOException("no ZooKeeper"); }, false);
    handOver.answer(() -> { throw new NoClassDefFoundError("a/Class"); }, false);
    plans.clear();
    handOver.answer(this::store, false);
    assertEquals(4, lines().stream().filter(line -> !line.startsWith("refused")).count());
    assertEquals(List.of("end", "failed", "failed", "end"), lines().subList(1, 5));
    assertEquals("a name end", lines().get(0).split("\t")[2]);
    assertEquals(List.of("start", "stop", "start", "stop"), calls);
  }

  @Test
  void oneThatHasEndedMeanwhileIsLeftOut() throws Exception {
    plans.put(new JobID(), null);
    handOver(false);
    assertEquals(List.of(), lines());
  }

  @Test
  void onlyTheMissingFieldOfAnOperatorIsSet() throws Exception {
    StreamGraph graph = earlier("counts");
    graph.deserializeUserDefinedInstances(getClass().getClassLoader(), Runnable::run);
    for (StreamNode node : graph.getStreamNodes()) {
      JobPlan.complete(node.getOperatorFactory());
    }
    Object first = adjustment().get(operators(graph).get(0));
    assertNotNull(first);
    for (StreamNode node : graph.getStreamNodes()) {
      JobPlan.complete(node.getOperatorFactory());
    }
    assertEquals(first, adjustment().get(operators(graph).get(0)));
    assertNull(graph.getApplicationId().orElse(null));
  }

  @Test
  void whatWasBehindAnErrorIsInTheSameLine() {
    Exception root = new ClassNotFoundException("a.\n B");
    Exception error = new IllegalStateException("outer", new IOException("middle", root));
    assertEquals(
        "java.lang.IllegalStateException: outer, caused by java.lang.ClassNotFoundException: a. B", HandOver.why(error));
    assertEquals("java.io.IOException: alone", HandOver.why(new IOException("alone")));
    assertEquals(
        "java.lang.IllegalStateException: outer: java.io.IOException: middle: java.lang.ClassNotFoundException: a. B",
        Flink.causes(error));
  }
}
