package org.apache.hadoop.shaded.org.apache.zookeeper;

/**
 * The client of ZooKeeper in Hadoop's minicluster names this interface, which that jar has not. Only tests of
 * ZooKeeper's own call what it declares there.
 */
public interface Testable {}
