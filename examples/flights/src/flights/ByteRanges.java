package flights;

import java.util.List;
import org.apache.flink.connector.file.src.FileSourceSplit;
import org.apache.flink.connector.file.src.enumerate.NonSplittingRecursiveEnumerator;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;

/**
 * Cuts every file in ranges of equal length, so that one file is read by all readers. Flink's own splitting follows
 * the blocks that a file system reports, and an object store reports one block for the whole object.
 */
final class ByteRanges extends NonSplittingRecursiveEnumerator {
    private final long bytes;

    ByteRanges(long bytes) {
        this.bytes = bytes;
    }

    @Override
    protected void convertToSourceSplits(FileStatus file, FileSystem fs, List<FileSourceSplit> splits) {
        long length = file.getLen();
        for (long start = 0; start < length; start += bytes) {
            splits.add(new FileSourceSplit(
                    getNextId(),
                    file.getPath(),
                    start,
                    Math.min(bytes, length - start),
                    file.getModificationTime(),
                    length));
        }
    }
}
