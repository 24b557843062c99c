import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** A cluster of one node: HOME PORT. */
final class OpenSearchNode extends Node {
    private OpenSearchNode(Settings settings) {
        super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "node"),
            List.of(Netty4Plugin.class), false);
    }

    public static void main(String[] words) throws Exception {
        new OpenSearchNode(Settings.builder()
            .put("path.home", words[0])
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", words[1])
            .put("transport.port", "0")
            .put("transport.type", "netty4")
            .put("http.type", "netty4")
            // The tests' disk may be rather full
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build()).start();
        // All threads of a node are daemons
        new CountDownLatch(1).await();
    }
}
