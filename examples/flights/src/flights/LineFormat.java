package flights;

import java.io.IOException;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.file.src.reader.StreamFormat;
import org.apache.flink.connector.file.src.util.CheckpointedPosition;
import org.apache.flink.core.fs.FSDataInputStream;
import org.apache.flink.runtime.execution.SuppressRestartsException;

/**
 * The lines of a file after its header. Flink's TextLineInputFormat cannot be split and knows no byte positions: one
 * reader would read all, and a recovery would read the file again from its start. This one can be split anywhere, and
 * goes on at the byte where it was. Each file must start with the header; only its first range sees and drops it.
 */
final class LineFormat implements StreamFormat<String> {
    private static final long serialVersionUID = 1L;

    private final String header;

    LineFormat(String header) {
        this.header = header;
    }

    @Override
    public Reader<String> createReader(Configuration config, FSDataInputStream in, long fileLength, long end)
            throws IOException {
        long start = in.getPos();
        LineReader lines = LineReader.ofRange(in, start, end);
        if (start == 0) {
            String first = lines.next();
            if (!header.equals(first)) {
                throw new SuppressRestartsException(
                        new BadRowException("the file does not start with " + header + " but with", first));
            }
        }
        return new PositionedReader(lines);
    }

    @Override
    public Reader<String> restoreReader(
            Configuration config, FSDataInputStream in, long position, long fileLength, long end) throws IOException {
        in.seek(position);
        return new PositionedReader(LineReader.resumed(in, position, end));
    }

    @Override
    public boolean isSplittable() {
        return true;
    }

    @Override
    public TypeInformation<String> getProducedType() {
        return Types.STRING;
    }

    private record PositionedReader(LineReader lines) implements Reader<String> {
        @Override
        public String read() throws IOException {
            return lines.next();
        }

        @Override
        public CheckpointedPosition getCheckpointedPosition() {
            return new CheckpointedPosition(lines.position(), 0);
        }

        @Override
        public void close() throws IOException {
            lines.close();
        }
    }
}
