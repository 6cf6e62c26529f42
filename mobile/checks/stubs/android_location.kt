// A part of Android's API, by its signatures alone.
@file:Suppress("UNUSED_PARAMETER", "unused")

package android.location

import android.os.Bundle
import android.os.Looper

class Location(val provider: String?) {
    val latitude: Double = 0.0
    val longitude: Double = 0.0
    val accuracy: Float = 0f
    val elapsedRealtimeNanos: Long = 0

    fun hasAccuracy(): Boolean = TODO()
}

interface LocationListener {
    fun onLocationChanged(location: Location)
    fun onProviderEnabled(provider: String) = Unit
    fun onProviderDisabled(provider: String) = Unit

    @Deprecated("deprecated in API level 29")
    fun onStatusChanged(provider: String?, status: Int, extras: Bundle?) = Unit
}

class LocationManager {
    val allProviders: List<String> = emptyList()

    fun isProviderEnabled(provider: String): Boolean = TODO()
    fun getLastKnownLocation(provider: String): Location? = TODO()
    fun requestLocationUpdates(
        provider: String,
        minTimeMs: Long,
        minDistanceM: Float,
        listener: LocationListener,
        looper: Looper?,
    ) = Unit

    fun removeUpdates(listener: LocationListener) = Unit

    companion object {
        const val FUSED_PROVIDER = "fused"
        const val GPS_PROVIDER = "gps"
        const val NETWORK_PROVIDER = "network"
    }
}
