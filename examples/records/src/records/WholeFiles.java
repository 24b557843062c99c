package records;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;

/**
 * Writes a whole file at each checkpoint, at least once: it has no state, so two jobs that started from the same savepoint
 * do not disturb each other. A reader takes each number once.
 */
final class WholeFiles implements Sink<String> {
    private static final long serialVersionUID = 1L;

    private final Path folder;

    WholeFiles(Path folder) {
        this.folder = folder;
    }

    @Override
    public SinkWriter<String> createWriter(WriterInitContext context) {
        return new Writer(folder);
    }

    private static final class Writer implements SinkWriter<String> {
        private final Path folder;
        private final StringBuilder lines = new StringBuilder();

        Writer(Path folder) {
            this.folder = folder;
        }

        @Override
        public void write(String line, Context context) {
            lines.append(line).append('\n');
        }

        @Override
        public void flush(boolean endOfInput) throws IOException {
            if (lines.length() == 0) {
                return;
            }
            Path file = new Path(folder, "part-" + UUID.randomUUID());
            try (FSDataOutputStream out =
                    folder.getFileSystem().create(file, FileSystem.WriteMode.NO_OVERWRITE)) {
                out.write(lines.toString().getBytes(StandardCharsets.UTF_8));
            }
            lines.setLength(0);
        }

        @Override
        public void close() {}
    }
}
